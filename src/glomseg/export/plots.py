"""Figures for papers and for the eye: the confusion matrix and the training curves.

matplotlib is imported in the functions, since it takes a third of a second, and is used without pyplot,
so nothing here depends on a display or changes another program's figures.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import InvalidInputError
from glomseg.export.lettering import lettering
from glomseg.files import atomic_path
from glomseg.metrics.pixels import PixelCounts
from glomseg.types import Classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_NOT_METRICS = frozenset({"step", "loss", "lr"})
_MAX_NAME_LENGTH = 30
_DPI = 150


def save_confusion_matrix(
    path_stem: str | os.PathLike[str], counts: PixelCounts, classes: Classes
) -> tuple[Path, Path]:
    """Write the confusion matrix as `path_stem`.pdf and `path_stem`.png, and return the two paths.

    Rows are the truth, columns the prediction. A cell shows which share of its row's true pixels it
    holds, and how many that are; its shade follows the share. A class without true pixels has no
    shares: its row says "no pixels".

    Raises
    ------
    InvalidInputError
        If the counts are of another number of classes.
    OutputError
        If a file cannot be written.
    """
    if counts.n_classes != len(classes):
        raise InvalidInputError(
            f"a confusion matrix of {counts.n_classes} classes cannot be labelled with {len(classes)} names "
            f"({', '.join(classes.names)})"
        )
    figure = _confusion_figure(counts.matrix, [lettering(_short(name)).text for name in classes.names])
    pdf, png = (Path(f"{os.fspath(path_stem)}{suffix}") for suffix in (".pdf", ".png"))
    _save(figure, pdf)
    _save(figure, png)
    return pdf, png


def save_training_curves(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    metrics: Sequence[str] | None = None,
    kept_step: int | None = None,
) -> None:
    """Write a PNG of the loss, the validation figures and the learning rate over the steps.

    Parameters
    ----------
    path
        The file, ending in .png.
    rows
        As in a run's metrics file: each has a "step" and some of "loss", "lr" and validation figures.
        Where a value is missing, None or NaN the line goes straight on to the next one there is.
    metrics
        The validation figures to draw; None draws every other key that has numbers.
    kept_step
        The step whose model was kept: the validation figures are marked there. None marks nothing.

    Raises
    ------
    InvalidInputError
        If a row has no step.
    OutputError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    if metrics is None:
        metrics = list(dict.fromkeys(key for row in rows for key in row if key not in _NOT_METRICS))
    series = {key: _series(rows, key) for key in ("loss", *metrics, "lr")}
    drawn_metrics = [key for key in metrics if len(series[key])]
    panels = [keys for keys in (["loss"], drawn_metrics, ["lr"]) if any(len(series[key]) for key in keys)]
    figure = Figure(figsize=(8, 1 + 2.2 * max(1, len(panels))), layout="constrained")
    axes = figure.subplots(max(1, len(panels)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, keys in zip(axes, panels, strict=False):
        _draw_curves(axis, {key: series[key] for key in keys}, is_validation=keys is drawn_metrics, kept_step=kept_step)
    if panels:
        axes[-1].set_xlabel("step")
    else:
        axes[0].set_axis_off()
        axes[0].text(0.5, 0.5, "nothing was recorded yet", ha="center", va="center")
    _save(figure, Path(path))


def _confusion_figure(matrix: NDArray[np.int64], names: Sequence[str]) -> "Figure":
    from matplotlib.figure import Figure

    n_classes = len(names)
    cell_inches = 1.5 if n_classes <= 4 else max(0.78, 6 / n_classes)
    longest = max(len(name) for name in names)
    slant = longest > cell_inches * 9  # about nine letters an inch
    # The matrix fills the figure; when it is saved, the paper is extended to hold the labels around it.
    figure = Figure(figsize=(n_classes * cell_inches, n_classes * cell_inches))
    axis = figure.add_axes((0, 0, 1, 1))
    truth = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, truth, out=np.zeros(matrix.shape), where=truth > 0)
    edges = np.arange(n_classes + 1) - 0.5
    axis.pcolormesh(edges, edges, shares, cmap="Blues", vmin=0, vmax=1, edgecolor="white", linewidth=1.5)
    axis.invert_yaxis()  # the first class on top
    # A digit is about 0.62 of its size wide, and a point is 1/72 inch.
    count_size = min(9.5, 0.86 * 72 * cell_inches / (0.62 * len(f"{matrix.max():,}")))
    for row in range(n_classes):
        if truth[row, 0]:
            for column in range(n_classes):
                _write_cell(axis, (row, column), int(matrix[row, column]), shares[row, column], size=count_size)
        else:
            axis.axhspan(row - 0.5, row + 0.5, facecolor="0.93", edgecolor="0.8", hatch="//", linewidth=0)
            box = {"facecolor": "0.93", "edgecolor": "none", "pad": 3}
            axis.text((n_classes - 1) / 2, row, "no pixels", ha="center", va="center", color="0.35", bbox=box)
    axis.set_xticks(range(n_classes), labels=list(names))
    axis.set_yticks(range(n_classes), labels=list(names))
    for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
        _letter(label)
    if slant:
        for label in axis.get_xticklabels():
            label.set(rotation=45, rotation_mode="anchor", horizontalalignment="right", verticalalignment="center")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("prediction", fontsize=12, fontweight="bold", labelpad=8)
    axis.set_ylabel("truth", fontsize=12, fontweight="bold", labelpad=8)
    axis.set_title("Share of each true class's pixels, and their number", fontsize=9, color="0.3")
    return figure


def _write_cell(axis: "Axes", place: tuple[int, int], count: int, share: float, *, size: float) -> None:
    row, column = place
    color = "white" if share > 0.55 else "0.15" if count else "0.6"
    for text, lower, text_size in ((_percent(share), -0.11, size * 1.25), (f"{count:,}", 0.16, size)):
        cell = axis.text(column, row + lower, text, ha="center", va="center", color=color, fontsize=text_size)
        cell.set_in_layout(False)  # it lies within the axes; measuring hundreds of them would take seconds


def _percent(share: float) -> str:
    """Return a share in percent that says 0 % and 100 % only where that is exactly so."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}" if 0 < share < 1 else f"{share:.0%}"


def _draw_curves(
    axis: "Axes", series: Mapping[str, NDArray[np.float64]], *, is_validation: bool, kept_step: int | None
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    for key, points in series.items():
        few = len(points) <= 40
        kept = points[points[:, 0] == kept_step] if is_validation and kept_step is not None else points[:0]
        label = f"{key} ({kept[-1, 1]:.4g} at the kept step {kept_step})" if len(kept) else key
        (line,) = axis.plot(*points.T, marker="o" if few else None, markersize=3.5, linewidth=1.5, label=label)
        if len(kept):
            axis.plot(*kept[-1], marker="*", markersize=13, color=line.get_color(), zorder=3)
    if is_validation:
        legend = axis.legend(fontsize=8, ncols=1 + len(series) // 5, framealpha=0.85)
        axis.set_ylabel("validation")
        for text in legend.get_texts():
            _letter(text)
    else:
        (key,) = series
        axis.set_ylabel({"loss": "training loss", "lr": "learning rate"}[key])
        if key == "loss" and (series[key][:, 1] > 0).all() and series[key][:, 1].max() > 10 * series[key][:, 1].min():
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(color="0.9")
    axis.spines[["top", "right"]].set_visible(False)


def _series(rows: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """Return (N, 2) float64 of step and value, where the value is a finite number."""
    points = []
    for row in rows:
        if "step" not in row:
            raise InvalidInputError(f"a row of the metrics has no step: {dict(row)}")
        value = row.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value):
            points.append((float(row["step"]), float(value)))
    return np.array(points, np.float64).reshape(-1, 2)


def _letter(text: "Text") -> None:
    """Give a matplotlib text a font that has its letters, and let a dollar sign be a dollar sign."""
    from matplotlib.font_manager import FontProperties

    drawn = lettering(text.get_text())
    text.set_parse_math(False)
    text.set_fontproperties(FontProperties(fname=str(drawn.font_path), size=text.get_fontsize()))
    text.set_text(drawn.text)


def _short(name: str) -> str:
    if len(name) <= _MAX_NAME_LENGTH:
        return name
    half = _MAX_NAME_LENGTH // 2
    return f"{name[:half]}…{name[-half + 1 :]}"


def _save(figure: "Figure", path: Path) -> None:
    # Without the date the same figures give the same file.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata=metadata, bbox_inches="tight", pad_inches=0.12)
