"""glomseg tiles."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning
from glomseg.cli.options import DatasetOptions, open_with


def tiles(
    data: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    layout: Literal["pairs", "nnunet"] = "pairs",
    seed: int = 0,
    options: DatasetOptions | None = None,
) -> int:
    """Cut annotated slides into tiles and masks for other programs.

    Made again after it was cut off, it goes on where it was. A tile that cannot be read is named at the end, and the
    exit code is 1.

    Parameters
    ----------
    data
        Folder of slides, with --annotations; or a folder of tiles and masks, to write it in another layout.
    out
        Folder to write to.
    layout
        pairs is images/, masks/ and tiles.csv; nnunet is imagesTr/, labelsTr/, dataset.json and splits_final.json.
    seed
        Of nnU-Net's folds, which never divide a slide.
    options
        How the data set is read.
    """
    from glomseg.steps.write_tiles import write_tiles

    dataset = open_with(data, options)
    result = write_tiles(dataset, out=out, layout=layout, seed=seed, progress=progress_bar)
    earlier = result.n_tiles - result.n_written
    before = f", {earlier:,} of them written before" if earlier else ""
    say(f"{result.n_tiles:,} tiles{before}. Written to {result.out}")
    for name, reason in result.failed.items():
        say_warning(f"left out {name!r}: {reason}")
    return 1 if result.failed else 0
