"""What a training runs on, and its processes."""

from collections.abc import Callable
from dataclasses import dataclass

from lightning_fabric import Fabric

from glomseg.config import AUTO, Settings
from glomseg.devices import choose_device, choose_precision
from glomseg.errors import GlomsegError, InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What to train on.

    Attributes
    ----------
    device
        "auto", "cpu", "cuda" or "mps".
    devices
        Processes on this machine, one a GPU.
    nodes
        Machines; each starts the same command with the environment that torch's launcher sets.
    precision
        "auto", "32-true", "bf16-mixed" or "16-mixed".
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"


def launch(hardware: Hardware, settings: Settings) -> tuple[Fabric, str]:
    """Start the processes of the run; return this one's Fabric and the precision."""
    n_processes = hardware.devices * hardware.nodes
    batch_size = n_processes if settings.run.batch_size == AUTO else settings.run.batch_size
    if n_processes < 1 or batch_size % n_processes:
        raise InvalidInputError(
            f"a batch of {batch_size} windows cannot be shared evenly by {n_processes} processes; "
            "change --devices, --nodes or --set run.batch_size=..."
        )
    device = choose_device(hardware.device)
    precision = choose_precision(hardware.precision, device)
    fabric = Fabric(
        accelerator=device.type,
        devices=hardware.devices,
        num_nodes=hardware.nodes,
        strategy="ddp" if n_processes > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric, precision


def on_first_process(fabric: Fabric, action: Callable[[], None]) -> None:
    """Do something in the first process only, and raise in all of them what it raised."""
    failure: GlomsegError | None = None
    if fabric.is_global_zero:
        try:
            action()
        except GlomsegError as error:
            failure = error
    failure = fabric.broadcast(failure)
    if failure is not None:
        raise failure
