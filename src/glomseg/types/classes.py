"""What the values of a mask mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from glomseg.errors import InvalidInputError

IGNORE_INDEX = 255
"""Mask value of pixels that count neither in training nor in evaluation."""

Color = tuple[int, int, int]

_PALETTE: tuple[Color, ...] = (
    (0, 0, 0),
    (0, 200, 80),
    (255, 140, 0),
    (60, 120, 255),
    (230, 40, 120),
    (250, 220, 40),
    (0, 200, 220),
    (150, 80, 220),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes of a segmentation: position in `names` is the value in the mask.

    Attributes
    ----------
    names
        One name a class; index 0 is the background.
    colors
        One (red, green, blue) triple a class, each 0 to 255.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise InvalidInputError(
                f"classes {list(self.names)} are fewer than two; "
                "name the background first, for example background,glomerulus"
            )
        if len(self.names) > IGNORE_INDEX:
            raise InvalidInputError(
                f"{len(self.names)} classes are more than a mask of bytes can hold "
                f"({IGNORE_INDEX}, since {IGNORE_INDEX} marks ignored pixels)"
            )
        if len(set(self.names)) != len(self.names):
            raise InvalidInputError(f"class names {list(self.names)} are not all different")
        if len(self.colors) != len(self.names):
            raise InvalidInputError(
                f"{len(self.names)} class names but {len(self.colors)} colours; give one colour a class"
            )

    @classmethod
    def of(cls, names: Sequence[str], colors: Sequence[Color] | None = None) -> "Classes":
        """Build classes from names, with the default palette where no colours are given."""
        if colors is None:
            colors = [_PALETTE[i % len(_PALETTE)] for i in range(len(names))]
        return cls(names=tuple(names), colors=tuple(colors))

    def renamed(self, names: Sequence[str]) -> "Classes":
        """Return the same classes under other names, one for each."""
        if len(names) != len(self):
            raise InvalidInputError(
                f"{len(names)} class names for {len(self)} classes ({', '.join(self.names)}); give one a class"
            )
        return Classes(names=tuple(names), colors=self.colors)

    def __len__(self) -> int:
        return len(self.names)


GLOMERULUS = Classes.of(("background", "glomerulus"))
"""The default: glomeruli against everything else."""
