"""glomseg predict."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.options import TtaOptions, tta_with
from glomseg.data.findings import counted


def predict(
    model: str,
    *images: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("predictions"),
    weights: Path | None = None,
    mpp: float | None = None,
    opacity: float = 0.5,
    overlays: bool = True,
    min_area: int = 0,
    device: str = "auto",
    precision: str = "auto",
    tta: TtaOptions | None = None,
) -> int:
    """Find glomeruli in images: masks, overlays and a table of every object.

    Goes on past a file that cannot be read, names it at the end and exits with 1.

    Parameters
    ----------
    model
        A model file; a run folder, whose best model is taken; or a .pth checkpoint of MMSegmentation.
    images
        Files, folders or patterns such as "tiles/*.png".
    out
        Folder for masks/, overlays/ and components.csv.
    weights
        A checkpoint of MMSegmentation whose config is given as the model.
    mpp
        Micrometres per pixel of the images; without it nothing is given in micrometres.
    opacity
        Of the overlay's colour, from 0 (none) to 1 (opaque).
    overlays
        Draw overlays.
    min_area
        Leave components below this many pixels out of the table.
    device
        auto, cpu, cuda, cuda:1 or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    tta
        Which views of an image are predicted.
    """
    from glomseg.steps.predict import predict_images

    result = predict_images(
        model,
        images,
        out=out,
        weights=weights,
        mpp=mpp,
        opacity=opacity,
        overlays=overlays,
        min_area_px=min_area,
        device=device,
        precision=precision,
        tta=tta_with(tta),
        progress=progress_bar,
    )
    unit = "px" if mpp is None else "um2"
    rows = []
    for item in result.images[:20]:
        areas = [piece.area_px if piece.area_um2 is None else round(piece.area_um2) for piece in item.components]
        largest = f"{max(areas):,}" if areas else "-"
        rows.append([item.mask.name, len(areas), largest, f"{100 * item.foreground_share:.2f} %"])
    if rows:
        show_table("predictions", ["mask", "objects", f"largest ({unit})", "foreground"], rows)
    if len(result.images) > 20:
        say(f"... and {counted(len(result.images) - 20, 'more image')}, in {result.out / 'components.csv'}")
    n_objects = sum(len(item.components) for item in result.images)
    say(f"{counted(n_objects, 'object')} on {counted(len(result.images), 'image')}. Written to {result.out}")
    for note in result.notes:
        say_warning(note)
    for path, reason in result.failed.items():
        say_warning(f"left out {str(path)!r}: {reason}")
    return 1 if result.failed else 0
