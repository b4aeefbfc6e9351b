"""What a model that is given to others says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Data that a published model was trained on.

    Attributes
    ----------
    what
        The part of the data that was used, in words.
    citation
        Who published them and where; "" for data that were drawn.
    licence
        Theirs.
    """

    what: str
    citation: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The short, machine-readable part of a published model's card; the long one is a page.

    Attributes
    ----------
    name
        What the model is called.
    purpose
        What it is for, in a few words.
    trained_on
        In a few words.
    sources
        The same in full.
    not_for
        What it must not be used for, a sentence each.
    figures
        For each figure its value and the ends of its 95 % interval, as the metrics of the card were measured.
    measured
        On what, how and by which command the figures were measured.
    licence
        Of the weights.
    page
        Where the whole card is.
    """

    name: str
    purpose: str
    trained_on: str
    sources: tuple[DataSource, ...]
    not_for: tuple[str, ...]
    figures: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    measured: str = ""
    licence: str
    page: str
