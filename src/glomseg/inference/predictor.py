"""From an image to its prediction."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glomseg.data.crops import resize
from glomseg.devices import autocast_dtype, choose_device, choose_precision
from glomseg.errors import InvalidInputError
from glomseg.images import MAX_PIXELS
from glomseg.inference.disagreement import split_disagreement, with_entropy
from glomseg.inference.ensemble import SmallestObject
from glomseg.inference.flipping import mean_over_flips
from glomseg.inference.windows import window_spans
from glomseg.metrics.temperature import with_temperature
from glomseg.models.segmentor import Logits
from glomseg.stain import Look, look_of, normalise
from glomseg.types import ModelCard, Prediction, Scaling, TestTimeAugmentation

Image = NDArray[np.uint8]

Network = Callable[[Tensor], Logits]
"""Logits of a prepared float32 batch (B, 3, h, w): a module of PyTorch, or what another engine computes."""

_ONE_VIEW = TestTimeAugmentation(flips=("none",))


class Predictor:
    """A model made ready to predict images; it keeps nothing between calls.

    Parameters
    ----------
    model
        A network with logits as output, or several, whose mean probabilities are the prediction; they are run one
        after the other. Modules are put into evaluation mode and moved to the device.
    card
        How images have to be prepared for it.
    device
        "auto", "cpu", "cuda", ...
    precision
        "auto", "32-true", "bf16-mixed" or "16-mixed"; "auto" takes bf16 where the device has it.
    tta
        The views of an image whose mean probabilities are its prediction; None takes one view, the image as it is.
    file
        Where the weights are from, if from a file.
    notes
        What is otherwise than where the model was made, in sentences.
    smallest
        The smallest object that counts, where one was chosen with the model.
    engine
        What computes the network, for records; another one than "torch" computes on the processor in "32-true".

    Examples
    --------
    >>> predictor = load_predictor("run/best.safetensors")  # doctest: +SKIP
    >>> predictor.predict(read_image("tile.png")).mask.shape  # doctest: +SKIP
    (1024, 1024)
    """

    def __init__(
        self,
        model: nn.Module | Sequence[Network],
        card: ModelCard,
        *,
        device: str = "auto",
        precision: str = "auto",
        tta: TestTimeAugmentation | None = None,
        file: Path | None = None,
        notes: tuple[str, ...] = (),
        smallest: SmallestObject | None = None,
        engine: str = "torch",
    ) -> None:
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        networks: Sequence[Network] = (model,) if isinstance(model, nn.Module) else model
        self.networks = tuple(
            network.to(self.device).eval() if isinstance(network, nn.Module) else network for network in networks
        )
        self.card = card
        self.tta = tta
        self.file = file
        self.notes = notes
        self.smallest = smallest
        self.engine = engine

    def predict(
        self,
        image: Image,
        *,
        mpp: float | None = None,
        look: Look | None = None,
        keep_probabilities: bool = False,
    ) -> Prediction:
        """Return the class of every pixel of an image (H, W, 3) uint8 RGB, at the image's resolution.

        Parameters
        ----------
        image
            Of any size; it is brought to the working size as the card says.
        mpp
            Its micrometres per pixel, where known.
        look
            Of the stains of the slide that it is from, for a model that brings stains to a reference; None judges it
            by the image itself.
        keep_probabilities
            Also return the (C, H, W) float32 probabilities, as large as C float images.

        Raises
        ------
        InvalidInputError
            If the image is too large for the device, or at its mpp would become so; or if the network's
            numbers overflow in the chosen precision.
        """
        threshold, temperature = self.card.inference.threshold, self.card.inference.temperature
        disagreement: Tensor | None = None
        if self.tta is None and len(self.networks) == 1:
            logits = self._finite(self.logits(image, mpp=mpp, look=look))
            mask = most_likely_classes(logits, threshold=threshold)
            probabilities = class_probabilities(logits) if keep_probabilities else None
        else:
            mean = self._finite(
                self.mean_probabilities(image, self.tta or _ONE_VIEW, mpp=mpp, look=look, entropy=keep_probabilities)
            )
            probabilities, disagreement = split_disagreement(mean) if keep_probabilities else (mean, None)
            # (B, 2, H, W) for a single logit too, whose threshold is then that of the second class.
            if threshold is None:
                mask = most_likely_classes(probabilities, threshold=None)
            else:
                mask = (probabilities[:, 1] > threshold).byte()
        kept = probabilities[0].cpu().numpy() if keep_probabilities and probabilities is not None else None
        return Prediction(
            mask=mask[0].cpu().numpy(),
            probabilities=None if kept is None else with_temperature(kept, temperature),
            disagreement=None if disagreement is None else disagreement[0].cpu().numpy(),
            classes=self.card.classes,
            mpp=mpp,
        )

    def min_area_px(self, given: int | None, *, mpp: float | None) -> int:
        """Return the area in pixels below which objects do not count: the given one, else the one that was chosen."""
        if given is not None:
            return given
        return 0 if self.smallest is None else self.smallest.area_px(mpp) or 0

    def logits(self, image: Image, *, mpp: float | None = None, look: Look | None = None) -> Tensor:
        """Return the (1, C, H, W) float32 logits at the image's own resolution.

        Test-time augmentation and an ensemble have none, since they are means of probabilities.
        """
        return self._seen_at(self.card.scaling, image, mpp=mpp, look=look, network=self.enlarged_logits)

    def mean_probabilities(
        self,
        image: Image,
        tta: TestTimeAugmentation,
        *,
        mpp: float | None = None,
        look: Look | None = None,
        entropy: bool = False,
    ) -> Tensor:
        """Return the (1, C, H, W) float32 mean of the probabilities of an image's views, at its own resolution.

        Views are predicted and added up one after the other. With `entropy` there is one channel more, the mean of
        their entropies, for `split_disagreement`. The temperature is not applied: it is that of the mean.

        Conventions
        -----------
        As MMSegmentation's ``SegTTAModel``: each view's logits are enlarged to the image's size before the softmax.
        That class takes the sigmoid of a single logit twice, which puts every pixel above 0.5; here it is taken once.
        """

        def over_flips(batch: Tensor, *, image_size: tuple[int, int]) -> Tensor:
            def predict(view: Tensor) -> Tensor:
                return self.view_probabilities(view, image_size=image_size, entropy=entropy)

            return mean_over_flips(batch, tta.flips, predict=predict)

        total: Tensor | None = None
        with torch.inference_mode():
            for scaling in tta.scalings(self.card.scaling):
                mean = self._seen_at(scaling, image, mpp=mpp, look=look, network=over_flips)
                total = mean if total is None else total.add_(mean)
            assert total is not None
            return total.div_(len(tta.scales))

    def _seen_at(
        self,
        scaling: Scaling,
        image: Image,
        *,
        mpp: float | None,
        look: Look | None,
        network: Callable[..., Tensor],
    ) -> Tensor:
        """Return what `network` says of an image brought to the working size."""
        height, width = image.shape[:2]
        size = scaling.working_size(height=height, width=width, mpp=mpp)
        if size[0] * size[1] > MAX_PIXELS:
            known, cause = "", "cut it into smaller tiles" + (", or use smaller --tta-scales" if self.tta else "")
            if mpp is not None:
                known = f" at {mpp} um per pixel"
                cause = "the micrometres per pixel are probably wrong: 0.25 is a 40x scan, 0.5 a 20x"
            raise InvalidInputError(
                f"an image of {width}x{height} pixels{known} would be worked on at {size[1]}x{size[0]}, more than fits "
                f"in memory; {cause}"
            )
        working = resize(image, height=size[0], width=size[1], interpolation=scaling.interpolation)
        working = self.restained(working, look=look)
        try:
            return network(self.prepare([working]), image_size=(height, width))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InvalidInputError(
                f"an image of {width}x{height} pixels, worked on at {size[1]}x{size[0]}, does not fit into the memory "
                f"of {str(self.device)!r}: cut it into smaller tiles, or use another --device"
            ) from error

    def _finite(self, numbers: Tensor) -> Tensor:
        if numbers.isfinite().all():
            return numbers
        # argmax would make background of it without a word
        raise InvalidInputError(
            f"the network gave NaN or infinite numbers in {self.precision}; "
            + ("the model is damaged: train it again" if self.precision == "32-true" else "use --precision 32-true")
        )

    def restained(self, working: Image, *, look: Look | None = None) -> Image:
        """Return a working image (h, w, 3) uint8 RGB with the stains that the model's card asks for, if it does.

        `look` is that of the slide that the image is from; None judges it by the image itself.
        """
        reference = self.card.stain
        if reference is None:
            return working
        own = look_of(working, method=reference.method) if look is None else look
        return normalise(working, look=own, reference=reference)

    def prepare(self, images: Sequence[Image]) -> Tensor:
        """Return equally large working images as one normalised (B, 3, h, w) float32 batch on the device."""
        batch = torch.from_numpy(np.stack(images)).to(self.device).permute(0, 3, 1, 2)  # channels last already
        mean = torch.tensor(self.card.mean, device=self.device).view(1, 3, 1, 1)
        std = torch.tensor(self.card.std, device=self.device).view(1, 3, 1, 1)
        return (batch.float() - mean) / std

    def view_probabilities(self, batch: Tensor, *, image_size: tuple[int, int], entropy: bool = False) -> Tensor:
        """Return the (B, C, H, W) float32 probabilities of a prepared batch, the mean over the networks.

        They are run and added up one after the other, so memory holds the sum and one of them. With `entropy` there is
        one channel more, the mean of their entropies.
        """
        total: Tensor | None = None
        with torch.inference_mode():
            for network in self.networks:
                probabilities = class_probabilities(self._enlarged_logits(network, batch, image_size=image_size))
                probabilities = with_entropy(probabilities) if entropy else probabilities
                total = probabilities if total is None else total.add_(probabilities)
            assert total is not None
            return total.div_(len(self.networks))

    def enlarged_logits(self, batch: Tensor, *, image_size: tuple[int, int]) -> Tensor:
        """Return the (B, C, H, W) float32 logits of a prepared batch (B, 3, h, w) at the image's size (H, W).

        Raises
        ------
        ValueError
            If there are several networks, which have no logits in common.

        Conventions
        -----------
        As in MMSegmentation the logits are enlarged twice, bilinearly: from the head's resolution to the working
        size (or the window's), then to the image's.
        """
        if len(self.networks) > 1:
            raise ValueError("an ensemble has no logits; take its probabilities")
        return self._enlarged_logits(self.networks[0], batch, image_size=image_size)

    def _enlarged_logits(self, network: Network, batch: Tensor, *, image_size: tuple[int, int]) -> Tensor:
        inference = self.card.inference
        dtype = autocast_dtype(self.precision)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            if inference.window_px is None or inference.stride_px is None:
                logits = self._window_logits(network, batch)
            else:
                logits = self._logits_of_windows(
                    network, batch, window_px=inference.window_px, stride_px=inference.stride_px
                )
            if image_size != (batch.shape[-2], batch.shape[-1]):
                logits = self._enlarged(logits, image_size)
        return logits

    def _window_logits(self, network: Network, batch: Tensor) -> Tensor:
        # Few channels are enlarged in a quarter of the time, to the same bits, if each is a plane of its own.
        logits = network(batch).main.float().contiguous()
        return self._enlarged(logits, (batch.shape[-2], batch.shape[-1]))

    def _logits_of_windows(
        self, network: Network, batch: Tensor, *, window_px: tuple[int, int], stride_px: tuple[int, int]
    ) -> Tensor:
        """Return the mean of the logits of all windows that see a pixel."""
        height, width = batch.shape[-2:]
        total: Tensor | None = None
        count = torch.zeros((height, width), device=batch.device)
        for top, bottom in window_spans(height, window_px=window_px[0], stride_px=stride_px[0]):
            for left, right in window_spans(width, window_px=window_px[1], stride_px=stride_px[1]):
                logits = self._window_logits(network, batch[..., top:bottom, left:right])
                if total is None:
                    total = logits.new_zeros((*logits.shape[:2], height, width))
                total[..., top:bottom, left:right] += logits
                count[top:bottom, left:right] += 1
        assert total is not None
        return total / count

    def _enlarged(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=self.card.inference.align_corners)


def class_probabilities(logits: Tensor) -> Tensor:
    """Return the probability of each class from (B, C, H, W) logits, or from the single logit of two classes."""
    if logits.shape[1] == 1:
        return torch.cat([-logits, logits], dim=1).sigmoid()  # 1 - p would lose what a sure model leaves of it
    return logits.softmax(dim=1)


def most_likely_classes(logits: Tensor, *, threshold: float | None) -> Tensor:
    """Return the (B, H, W) uint8 class of every pixel from (B, C, H, W) logits.

    A single logit makes a pixel of the second class where its sigmoid is above `threshold`.
    """
    if logits.shape[1] == 1:
        return (logits[:, 0].sigmoid() > (0.5 if threshold is None else threshold)).to(torch.uint8)
    # What argmax says, the first of equal ones too; it takes ten times as long where channels come before pixels.
    if logits.shape[1] == 2:
        return (logits[:, 1] > logits[:, 0]).to(torch.uint8)
    return logits.max(dim=1).indices.to(torch.uint8)


def is_out_of_memory(error: Exception) -> bool:
    # The processor's allocator raises a plain RuntimeError.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
