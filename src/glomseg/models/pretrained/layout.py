"""What a published network's entries are called, and bringing them to the names of ours.

A layout is chosen by the names in a file, never by the file's name. Every entry is accounted for: it is mapped, or it
belongs to a head, or the file is refused, since a network that lacks one of its parts gives other features.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from glomseg.errors import InvalidInputError

Entries = dict[str, Tensor]

_NO_PLACE = (
    (r"\b[qk]_(norm|layernorm)\b", "its attention normalises queries and keys"),
    (r"\b(norm_pre|pre_layernorm|pre_layrnorm)\b", "it normalises tokens before the first layer, as CLIP does"),
    (r"\b(logit_scale|cpb_mlp|continuous_position_bias_mlp)\b", "it is a Swin V2, whose attention is another"),
    (r"relative_position_bias|\brel_pos", "its attention has biases of relative positions, as BEiT's has"),
    (r"\bgrn\b", "it is a ConvNeXt V2, which normalises responses"),
    (r"\b(se|eca)\b", "its blocks weigh channels (squeeze and excitation)"),
    (r"\bmlp\.norm\b", "it normalises inside the feed-forward layers"),
    (r"\brope\b", "its rotary positions are learnt"),
)
"""Reasons why there is no place for an entry, by patterns of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The names under which one library publishes one kind of backbone.

    Attributes
    ----------
    whose
        The library and its name of the network, for people.
    backbone
        Name in `glomseg.models.compose.BACKBONES` of the backbone that it is here.
    signature
        An entry that every such file has and no file of another layout. What stands before it is taken off all names.
    names
        Pairs of a name there and here, without ``backbone.``. A ``#`` is a number, a ``*`` the last part of a name.
    heads
        Patterns of entries that a backbone does not need.
    finish
        Brings the renamed entries to those of our network: joins, reorders, reshapes.
    """

    whose: str
    backbone: str
    signature: str
    names: Sequence[tuple[str, str]]
    heads: str
    finish: Callable[[Entries], Entries]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """The entries of a backbone under our names.

    Attributes
    ----------
    layout
        The one that the file has.
    entries
        By their name in the backbone, without ``backbone.``.
    heads
        Entries of the file that are not of its backbone.
    """

    layout: Layout
    entries: Entries
    heads: tuple[str, ...]


def translate(entries: Mapping[str, Tensor], layouts: Sequence[Layout]) -> Translated | None:
    """Return the entries of a file under our names, or None where it has none of these layouts.

    Raises
    ------
    InvalidInputError
        If it has a part that our network has no place for (the message says which), or is damaged.
    """
    for layout in layouts:
        prefix = _prefix(entries, layout)
        if prefix is not None:
            return _translated(entries, layout, prefix=prefix)
    return None


def _prefix(entries: Mapping[str, Tensor], layout: Layout) -> str | None:
    pattern = re.compile(rf"((?:[A-Za-z_]\w*\.)*){re.escape(layout.signature)}")
    prefixes = sorted({found[1] for name in entries if (found := pattern.fullmatch(name))})
    if len(prefixes) > 1:
        raise InvalidInputError(
            f"the file holds several networks ({', '.join(map(repr, prefixes))}); give a file with one of them"
        )
    return prefixes[0] if prefixes else None


def _translated(entries: Mapping[str, Tensor], layout: Layout, *, prefix: str) -> Translated:
    rules = [_rule(*pair) for pair in layout.names]
    renamed: Entries = {}
    heads: list[str] = []
    for name, value in entries.items():
        inner = name.removeprefix(prefix)
        if (prefix and inner == name) or re.fullmatch(layout.heads, inner):
            heads.append(name)
            continue
        ours = next((found.expand(target) for rule, target in rules if (found := rule.fullmatch(inner))), None)
        if ours is None:
            raise InvalidInputError(f"{layout.whose} has {name!r}, which has no place in the network here{_why(inner)}")
        renamed[ours] = value
    try:
        return Translated(layout=layout, entries=layout.finish(renamed), heads=tuple(heads))
    except InvalidInputError:  # which says what is wrong already
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:  # of joining tensors that nobody joins
        raise InvalidInputError(
            f"the entries of {layout.whose} do not fit each other ({error}); the file is damaged"
        ) from error


def _rule(theirs: str, ours: str) -> tuple[re.Pattern[str], str]:
    pattern = re.escape(theirs).replace(r"\#", r"(\d+)").replace(r"\*", r"(\w+)")
    n_groups = 0
    target = ""
    for character in ours:
        if character in "#*":
            n_groups += 1
            character = rf"\{n_groups}"
        target += character
    return re.compile(pattern), target


def _why(name: str) -> str:
    return next((f": {reason}" for pattern, reason in _NO_PLACE if re.search(pattern, name)), "")
