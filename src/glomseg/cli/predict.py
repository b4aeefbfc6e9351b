"""glomseg predict."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.box import BOX
from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.cli.models import say_published
from glomseg.cli.options import TtaOptions, tta_with
from glomseg.data.findings import counted
from glomseg.errors import InvalidInputError

if TYPE_CHECKING:
    from glomseg.steps.predict import PredictionResult
    from glomseg.steps.predict_slides import PredictedSlides, SlideSettings

_SHOWN = 20
_DEFAULTS_OF_TILES = (0.5, True, None)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SlideOptions:
    """How slides are predicted."""

    working_mpp: Annotated[
        float | None,
        Parameter(help="Micrometres per pixel to work at, for models that do not say it themselves."),
    ] = None
    tissue: Annotated[bool, Parameter(help="Predict only windows in which tissue was found.")] = True
    min_diameter: Annotated[float | None, Parameter(help="Drop objects below this diameter, in micrometres.")] = None
    separate: Annotated[bool, Parameter(help="Part objects that touch.")] = True
    probabilities: Annotated[bool, Parameter(help="Also write probability.tif.")] = False
    batch_size: Annotated[
        int | None, Parameter(help="Windows predicted at once; by default 1 on a processor and 16 on a GPU.")
    ] = None
    tile_size: Annotated[int, Parameter(help="Side of what is read at once, in pixels of the working size.")] = 512
    workers: Annotated[int, Parameter(help="Threads that read ahead.")] = 2


def predict(
    model: str = BOX,
    *images: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("predictions"),
    kind: Annotated[str, Parameter(name="--as")] = "auto",
    weights: Path | None = None,
    mpp: float | None = None,
    opacity: float = 0.5,
    overlays: bool = True,
    min_area: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    engine: str | None = None,
    tta: TtaOptions | None = None,
    slides: SlideOptions | None = None,
) -> int:
    """Find glomeruli in tiles and whole slides: masks, pictures and a table of every object.

    Goes on past a file that cannot be read, names it at the end and exits with 1. Slides that are finished are not
    predicted again, and an interrupted one goes on where it stopped.

    Parameters
    ----------
    model
        A model file; a run folder, whose best model is taken; the folder of a cross-validation, whose models are taken
        together; a .pth checkpoint of MMSegmentation; or an exported network, .onnx or OpenVINO's .xml. Left out, or
        box: the model that comes with glomseg.
    images
        Files, folders or patterns such as "tiles/*.png" and "slides/*.svs".
    out
        Folder for masks/, overlays/ and components.csv of tiles, and a folder for each slide and slides.csv.
    kind
        auto, tile or slide: what the files are taken for. A slide is a file of a scanner, a tiled TIFF, or too large.
    weights
        A checkpoint of MMSegmentation whose config is given as the model.
    mpp
        Micrometres per pixel: of tiles, without which nothing is given in micrometres, and which the model in the box
        needs; of slides, in place of what their files say.
    opacity
        Of the colour on tiles, from 0 (none) to 1 (opaque).
    overlays
        Draw overlays of tiles.
    min_area
        Leave components of tiles below this many pixels out of the table; none by default, unless a size was chosen
        with the model.
    device
        auto, cpu, cuda, cuda:1 or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    engine
        What computes the network: torch, onnx or openvino; by default torch, or what the network was exported for. The
        last two compute on the processor.
    tta
        Which views of an image are predicted.
    slides
        How slides are predicted.
    """
    from glomseg.steps.predict import predict_images
    from glomseg.steps.predict_slides import predict_slides
    from glomseg.steps.prediction_inputs import find_inputs, split_model

    settings = _settings(slides or SlideOptions(), mpp=mpp)
    if weights is None:
        model, images = split_model((model, *images))
    inputs = find_inputs(images, kind=kind)
    if weights is None:
        say_published(model)
    n_failed = 0
    if inputs.tiles:
        tiles = predict_images(
            model,
            inputs.tiles,
            out=out,
            weights=weights,
            mpp=mpp,
            opacity=opacity,
            overlays=overlays,
            min_area_px=min_area,
            device=device,
            precision=precision,
            tta=tta_with(tta),
            engine=engine,
            progress=progress_bar,
        )
        _show_tiles(tiles, unit="px" if mpp is None else "um2")
        n_failed += len(tiles.failed)
    if inputs.slides:
        if not inputs.tiles and (opacity, overlays, min_area) != _DEFAULTS_OF_TILES:
            say_warning("--opacity, --no-overlays and --min-area are for tiles; slides have --min-diameter")
        result = predict_slides(
            model,
            inputs.slides,
            out=out,
            weights=weights,
            settings=settings,
            device=device,
            precision=precision,
            tta=tta_with(tta),
            engine=engine,
            progress=progress_bar,
        )
        _show_slides(result)
        n_failed += len(result.failed)
    return 1 if n_failed else 0


def _settings(options: SlideOptions, *, mpp: float | None) -> "SlideSettings":
    from glomseg.measure import ObjectSettings
    from glomseg.steps.predict_slides import SlideSettings

    if options.min_diameter is not None and not 0 <= options.min_diameter < float("inf"):
        raise InvalidInputError(f"--min-diameter {options.min_diameter} is not a number of micrometres from 0 up")
    chosen = {} if options.min_diameter is None else {"min_diameter_um": options.min_diameter}
    if not options.separate:
        chosen["max_neck_ratio"] = 0.0
    return SlideSettings(
        mpp=mpp,
        working_mpp=options.working_mpp,
        tissue_only=options.tissue,
        objects=ObjectSettings(**chosen),
        probabilities=options.probabilities,
        batch_size=options.batch_size,
        tile_px=options.tile_size,
        n_threads=options.workers,
    )


def _show_tiles(result: "PredictionResult", *, unit: str) -> None:
    rows = []
    for item in result.images[:_SHOWN]:
        areas = [piece.area_px if piece.area_um2 is None else round(piece.area_um2) for piece in item.components]
        largest = f"{max(areas):,}" if areas else "-"
        rows.append([item.mask.name, len(areas), largest, f"{100 * item.foreground_share:.2f} %"])
    if rows:
        show_table("predictions", ["mask", "objects", f"largest ({unit})", "foreground"], rows)
    if len(result.images) > _SHOWN:
        say(f"... and {counted(len(result.images) - _SHOWN, 'more image')}, in {result.out / 'components.csv'}")
    n_objects = sum(len(item.components) for item in result.images)
    if result.images:
        say(f"{counted(n_objects, 'object')} on {counted(len(result.images), 'image')}. Written to {result.out}")
    _warn(result.notes, result.failed)


def _show_slides(result: "PredictedSlides") -> None:
    rows = []
    for item in result.slides[:_SHOWN]:
        total = item.record["summary"][-1]
        seconds = f"{item.record['seconds']['total']:.1f} s" if item.is_new else "done before"
        rows.append(
            [
                item.folder.name,
                total["n_objects"],
                _figure(total["tissue_area_mm2"]),
                _figure(total["density_per_mm2"]),
                seconds,
            ]
        )
    if rows:
        show_table("slides", ["slide", "objects", "tissue (mm2)", "objects/mm2", "time"], rows)
    if len(result.slides) > _SHOWN:
        say(f"... and {counted(len(result.slides) - _SHOWN, 'more slide')}, in {result.out / 'slides.csv'}")
    n_objects = sum(item.record["summary"][-1]["n_objects"] for item in result.slides)
    if result.slides:
        say(f"{counted(n_objects, 'object')} on {counted(len(result.slides), 'slide')}. Written to {result.out}")
    _warn(result.notes, result.failed)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _warn(notes: tuple[str, ...], failed: dict[Path, str]) -> None:
    for note in notes:
        say_warning(note)
    for path, reason in failed.items():
        say_warning(f"left out {str(path)!r}: {reason}")
