"""Which learning rate and weight decay each parameter of a network gets."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.models.backbones.convnext import ConvNeXt
from glomseg.optimization import LayerDecay, OptimizerSettings, ParameterRule

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that are learnt alike.

    Attributes
    ----------
    lr
        The rate that the schedule starts from.
    weight_decay
        As torch's optimizers take it.
    names, parameters
        In the order of the network.
    """

    lr: float
    weight_decay: float
    names: list[str] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)


def parameter_groups(network: nn.Module, settings: OptimizerSettings) -> list[ParameterGroup]:
    """Return the parameters of a network that learn, in groups of the same rate and decay.

    Raises
    ------
    InvalidInputError
        If `layer_decay` is asked of another backbone than ConvNeXt.

    Conventions
    -----------
    The rules are those of MMEngine's DefaultOptimWrapperConstructor. A part of the name decides over both; else the
    first of normalisation, bias, depthwise convolution and one dimension for which there is a factor decides over the
    decay. With layer decay the rules of MMSegmentation's LearningRateDecayOptimizerConstructor hold instead:
    all parameters of one dimension are without decay.
    """
    groups: dict[tuple[float, float], ParameterGroup] = {}
    for name, module, parameter in _parameters(network):
        part = _part(name, settings)
        if settings.layer_decay is not None:
            rule = _layer_rule(network, name, settings.layer_decay, is_flat=parameter.ndim == 1)
        elif part is not None:
            rule = settings.by_name[part]
        else:
            rule = _kind_rule(name, module, settings, is_flat=parameter.ndim == 1)
        lr, decay = settings.lr * rule.lr_mult, settings.weight_decay * rule.decay_mult
        group = groups.setdefault((lr, decay), ParameterGroup(lr=lr, weight_decay=decay))
        group.names.append(name)
        group.parameters.append(parameter)
    return list(groups.values())


def unused_names(network: nn.Module, settings: OptimizerSettings) -> tuple[str, ...]:
    """Return the keys of ``optimizer.by_name`` that decide over no parameter of the network."""
    used = {_part(name, settings) for name, _, _ in _parameters(network)}
    return tuple(name for name in settings.by_name if name not in used)


def _parameters(network: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    seen: set[int] = set()
    for prefix, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{prefix}.{name}" if prefix else name, module, parameter


def _part(name: str, settings: OptimizerSettings) -> str | None:
    """Return the longest text of ``by_name`` that is in the parameter's name, of equally long ones the first."""
    found = [part for part in settings.by_name if part in name]
    return min(found, key=lambda part: (-len(part), part), default=None)


def _kind_rule(name: str, module: nn.Module, settings: OptimizerSettings, *, is_flat: bool) -> ParameterRule:
    is_norm = isinstance(module, _NORMS)
    is_bias = name.rpartition(".")[2] == "bias"
    is_depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
    decays = (
        (is_norm, settings.norm_decay_mult),
        (is_bias, settings.bias_decay_mult),
        (is_depthwise, settings.dwconv_decay_mult),
        (is_flat, settings.flat_decay_mult),
    )
    decay = next((factor for applies, factor in decays if applies and factor is not None), 1.0)
    return ParameterRule(lr_mult=settings.bias_lr_mult if is_bias and not is_norm else 1.0, decay_mult=decay)


def _layer_rule(network: nn.Module, name: str, decay: LayerDecay, *, is_flat: bool) -> ParameterRule:
    if not isinstance(getattr(network, "backbone", None), ConvNeXt):
        raise InvalidInputError("optimizer.layer_decay is for networks on a ConvNeXt; set it to none for this one")
    n_layers = decay.n_layers + 2
    layer = _convnext_stage(name, n_layers) if decay.by == "stage" else _convnext_layer(name, decay.n_layers)
    return ParameterRule(
        lr_mult=decay.rate ** (n_layers - layer - 1), decay_mult=0.0 if is_flat or name.endswith(".bias") else 1.0
    )


def _convnext_stage(name: str, n_layers: int) -> int:
    if name.startswith("backbone.downsample_layers."):
        return 0
    return int(name.split(".")[2]) + 1 if name.startswith("backbone.stages.") else n_layers - 1


def _convnext_layer(name: str, n_layers: int) -> int:
    if name.startswith("backbone.downsample_layers."):
        return (0, 2, 3, n_layers)[int(name.split(".")[2])]
    if name.startswith("backbone.stages."):
        stage, block = (int(part) for part in name.split(".")[2:4])
        return (1, 2, 3 + block // 3, n_layers)[stage]
    return n_layers + 1
