"""Overlapping windows added up to the classes of a slide, one row of windows at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glomseg.inference.slide_grid import SlideGrid, Span, blend_weights
from glomseg.inference.slide_store import Carry
from glomseg.metrics.temperature import with_temperature

Bytes = NDArray[np.uint8]


class BandBlender:
    """The weighted sums of probabilities in one band, and their mean for the rows that no later band changes.

    Only the foreground classes are added up: the background's probability is what they leave of 1.

    Parameters
    ----------
    grid
        The windows.
    n_classes
        With the background.
    threshold
        For models with a single logit; None takes the most likely class.
    temperature
        Of the probabilities that are returned, not of those that decide on the class.
    device
        Where the sums are held: the network's, so that only finished bytes leave it.
    """

    def __init__(
        self,
        grid: SlideGrid,
        *,
        n_classes: int,
        threshold: float | None,
        device: torch.device,
        temperature: float = 1.0,
    ) -> None:
        self.grid = grid
        self.threshold = threshold
        self.temperature = temperature
        height, width = grid.window_px
        self._row_weights = torch.from_numpy(blend_weights(height)).to(device)
        self._column_weights = torch.from_numpy(blend_weights(width)).to(device)
        self._weights = self._row_weights[:, None] * self._column_weights
        self._sums = torch.zeros((n_classes - 1, height, grid.width), device=device)
        self._span: Span | None = None  # the columns outside of which all sums are zero

    def add(self, probabilities: Tensor, lefts: Sequence[int]) -> None:
        """Add (B, C, h, w) float32 probabilities of windows of the present band that begin at these columns."""
        for window, left in zip(probabilities, lefts, strict=True):
            right = left + window.shape[-1]
            self._sums[..., left:right].addcmul_(window[1:], self._weights)
            first, last = self._span or (left, right)
            self._span = min(first, left), max(last, right)

    def finish(self, band: int) -> tuple[Bytes, Bytes] | None:
        """Return the rows that are finished with a band, and go on to the next; None if they are all background.

        Returns
        -------
        mask
            (h, W) uint8, the most likely class; 0 where no window was predicted.
        foreground
            (h, W) uint8, 255 times the probability of all foreground classes together, rounded.
        """
        if self._span is None:
            return None
        top, bottom = self.grid.finished_rows(band)
        n_rows, (left, right) = bottom - top, self._span
        weights = self._weights_of_rows(band, n_rows=n_rows, span=self._span)
        means = self._sums[:, :n_rows, left:right] / weights.clamp_(min=torch.finfo(weights.dtype).tiny)
        foreground = means.sum(dim=0)
        if not foreground.isfinite().all():  # or background would be made of it without a word
            raise FloatingPointError("the network gave NaN or infinite numbers")
        likeliest, index = means.max(dim=0)
        # A tie goes to the lowest class, as argmax over all of them would have it.
        is_found = foreground > self.threshold if self.threshold is not None else likeliest > 1 - foreground
        mask, share = (np.zeros((n_rows, self.grid.width), np.uint8) for _ in range(2))
        mask[:, left:right] = torch.where(is_found, index + 1, 0).to(torch.uint8).cpu().numpy()
        if self.temperature != 1:
            background = (1 - foreground).clamp_(0, 1)
            every = with_temperature(torch.cat([background[None], means]).cpu().numpy(), self.temperature)
            foreground = torch.from_numpy(1 - every[0])
        share[:, left:right] = foreground.mul(255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        self._go_on(n_rows, is_last=bottom == self.grid.height)
        return mask, share

    def carry(self) -> Carry | None:
        """Return the sums that the next band begins with; None if they are zero."""
        if self._span is None:
            return None
        left, right = self._span
        return Carry(left=left, sums=self._sums[:, : self._n_kept, left:right].cpu().numpy())

    def restore(self, carry: Carry) -> None:
        """Begin a band with the sums that `carry` gave."""
        _, n_rows, width = carry.sums.shape
        self._span = carry.left, carry.left + width
        self._sums[:, :n_rows, slice(*self._span)] = torch.from_numpy(carry.sums).to(self._sums.device)

    def _go_on(self, n_rows: int, *, is_last: bool) -> None:
        """Move the sums up, so that row 0 is the next band's first."""
        assert self._span is not None
        self._n_kept = 0 if is_last else max(0, self._sums.shape[1] - n_rows)
        sums = self._sums[..., slice(*self._span)]
        kept = sums[:, n_rows : n_rows + self._n_kept].clone()
        sums.zero_()
        sums[:, : self._n_kept] = kept
        if not self._n_kept:
            self._span = None

    def _weights_of_rows(self, band: int, *, n_rows: int, span: Span) -> Tensor:
        """Return the (n_rows, w) sum of the weights that the pixels of finished rows got, in a span of columns.

        Worked out from the places of the windows, so that it need not be added up and kept with the sums.
        """
        top = self.grid.rows[band][0]
        total = torch.zeros((n_rows, span[1] - span[0]), device=self._sums.device)
        for earlier in range(band, -1, -1):
            start, end = self.grid.rows[earlier]
            n_seen = min(end - top, n_rows)
            if n_seen <= 0:
                break
            columns = torch.zeros(self.grid.width, device=total.device)
            for left, right in self.grid.windows(earlier):
                columns[left:right] += self._column_weights
            total[:n_seen] += self._row_weights[top - start : top - start + n_seen, None] * columns[slice(*span)]
        return total
