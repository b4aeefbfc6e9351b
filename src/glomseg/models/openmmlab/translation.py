"""From OpenMMLab's description of a part of a network to the one here.

Each `Translation` lists every option that has a meaning for the network. An option that is not listed, or has a value
that is not known, is an error: a network that is nearly the one in the checkpoint is worse than none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from glomseg.errors import InvalidInputError

Values = Mapping[str, Any]

_WITHOUT_EFFECT = frozenset(
    {"type", "init_cfg", "pretrained", "norm_eval", "frozen_stages", "with_cp", "convert_weights", "_scope_"}
    | {"loss_decode", "ignore_index", "sampler", "num_classes", "out_channels", "threshold", "init_std"}
    | {"pretrain_img_size", "frozen_exclude", "im2col_step", "norm_cfg"}
)
"""Options that do not change what a trained network computes, and those that are looked at elsewhere."""

_BATCH_NORMS = ("BN", "SyncBN", "BN2d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """How one kind of part is described in glomseg.

    Attributes
    ----------
    name
        In `glomseg.models.compose`.
    kept
        Options that have the same name and meaning.
    renamed
        Options under another name here, by theirs.
    fixed
        Options of ours that follow from the kind of part.
    defaults
        Options of ours that the constructor here would choose differently when theirs are not given.
    only
        Options of which only these values are known.
    norms, eps
        Kinds of normalisation that are known, and the small number in it; `eps` is not looked at for a part whose
        options hold it.
    needs_norm
        Whether the part is another network without a ``norm_cfg``.
    more, more_reads
        Options of ours that are worked out from theirs, and which of theirs that reads.
    back
        Options of theirs that are worked out from ours, where there is a `more` and the part can be written.
    written
        Options that are always written: those that OpenMMLab chooses otherwise by itself.
    scope
        Put before the type that is written: the package that has it.
    """

    name: str
    kept: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    fixed: Values = field(default_factory=dict)
    defaults: Values = field(default_factory=dict)
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    norms: tuple[str, ...] = _BATCH_NORMS
    eps: float | None = 1e-5
    needs_norm: bool = False
    more: Callable[[Values], dict[str, Any]] | None = None
    more_reads: tuple[str, ...] = ()
    back: Callable[[Values], dict[str, Any]] | None = None
    written: Values = field(default_factory=dict)
    scope: str = ""


def translate(theirs: Values, table: Mapping[str, Translation], *, where: str) -> dict[str, Any]:
    """Return the description of a part for `compose`.

    Parameters
    ----------
    theirs
        OpenMMLab's description: a ``type`` and its options.
    table
        `BACKBONES`, `NECKS` or `HEADS` of `glomseg.models.openmmlab.parts`.
    where
        Its place in the config, for messages: ``model.backbone``.

    Raises
    ------
    InvalidInputError
        If the type, an option or a value is not known.
    """
    kind = str(theirs.get("type")).rpartition(".")[2]
    if kind not in table:
        raise InvalidInputError(f"{where} is a {kind}, which glomseg does not have; it has {', '.join(table)}")
    known = table[kind]
    options = {**known.fixed, **known.defaults}
    for name, value in theirs.items():
        if name in known.only and not any(_same(value, allowed) for allowed in known.only[name]):
            allowed = " or ".join(map(repr, known.only[name]))
            raise InvalidInputError(f"{where} ({kind}) has {name}={value!r}; glomseg knows it with {allowed}")
        if name in known.kept:
            options[name] = _plain(value)
        elif name in known.renamed:
            options[known.renamed[name]] = _plain(value)
        elif name not in known.only and name not in known.more_reads and name not in _WITHOUT_EFFECT:
            if name == "align_corners":  # for the logits as a whole, which is looked at elsewhere
                continue
            raise InvalidInputError(f"{where} ({kind}) has the option {name}={value!r}, which glomseg does not know")
    _check_norm(theirs, known, where=f"{where} ({kind})")
    if known.more is not None:
        try:
            options |= known.more(theirs)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"{where} ({kind}) is not as complete as it has to be: {error}") from error
    return {"name": known.name, **options}


def _check_norm(theirs: Values, known: Translation, *, where: str) -> None:
    norm = theirs.get("norm_cfg")
    if norm is None:
        if known.needs_norm and theirs.get("num_convs") != 0:
            raise InvalidInputError(f"{where} has no norm_cfg; glomseg has its convolutions with normalisation only")
        return
    if not isinstance(norm, dict):
        raise InvalidInputError(f"{where} has norm_cfg={norm!r}, which is no dict")
    kind = norm.get("type")
    if known.norms and kind not in known.norms:
        raise InvalidInputError(f"{where} is normalised by {kind!r}; glomseg knows it with {' or '.join(known.norms)}")
    if kind == "GN" and norm.get("num_groups") != 32:
        raise InvalidInputError(f"{where} has {norm.get('num_groups')} groups in its normalisation, not 32")
    if known.eps is not None and known.norms and norm.get("eps", 1e-5) != known.eps:
        raise InvalidInputError(f"{where} has eps {norm.get('eps', 1e-5)} in its normalisation, not {known.eps}")


def _same(value: Any, other: Any) -> bool:
    return bool(_plain(value) == _plain(other))


def _plain(value: Any) -> Any:
    """Return nested values with lists for tuples, as a model card stores them."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
