"""What a training settles and says from its tiles before it begins."""

from collections.abc import Sequence

from glomseg.config import Settings
from glomseg.data.advice import advise
from glomseg.data.normalisation import reference_look
from glomseg.data.statistics import TileStatistics
from glomseg.models.profile import training_bytes
from glomseg.models.segmentor import Segmentor
from glomseg.progress import OnMessage, ProgressBars
from glomseg.types import Dataset, Split


def say_advice(
    settings: Settings,
    dataset: Dataset,
    statistics: Sequence[TileStatistics],
    *,
    network: Segmentor,
    n_processes: int,
    message: OnMessage,
) -> None:
    """Say what the masks tell about the training that is about to begin, and what memory a step of it will take.

    `statistics` are those of the training tiles; the scaling in `settings` is settled.
    """
    scaling = settings.scaling.scaling(factor=settings.scaling.factor or 1.0)
    advice = advise(statistics, settings, scaling=scaling, mpp=dataset.mpp)
    for fact in advice.facts:
        message(fact)
    height, width = settings.crop.input_px
    n_bytes = training_bytes(network, height=height, width=width, batch_size=settings.run.batch_size // n_processes)
    message(f"a step holds about {n_bytes / 2**30:.2g} GB for the network, in fp32; the decoded tiles come on top")
    for warning in advice.warnings:
        message(f"warning: {warning}")


def settle_reference(settings: Settings, dataset: Dataset, split: Split, *, progress: ProgressBars) -> Settings:
    """Return the settings with the look that stains are brought to, where the recipe wants one and names none.

    Raises
    ------
    InvalidInputError
        If no training tile shows stains.
    """
    colors = settings.colors
    if colors.normalise == "none" or colors.reference is not None:
        return settings
    with progress("looking at stains", unit="tile") as bar:
        look = reference_look(
            dataset,
            dataset.select(split.train),
            method=colors.normalise,
            scaling=settings.scaling.scaling(factor=settings.scaling.factor or 1.0),
            progress=bar,
        )
    return settings.model_copy(update={"colors": colors.model_copy(update={"reference": look})})
