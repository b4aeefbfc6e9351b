"""A segmentation network: a backbone and the heads on it."""

from typing import NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import pad_to_multiple


class QueryLogits(NamedTuple):
    """What queries, each looking for one mask, say before softmax and sigmoid.

    Attributes
    ----------
    classes
        (B, Q, C + 1): the class of each query's mask; the last one is "no object".
    masks
        (B, Q, h, w): which pixels belong to it.
    """

    classes: Tensor
    masks: Tensor


class Logits(NamedTuple):
    """What a segmentor gives out, before softmax and at the heads' own resolutions.

    Attributes
    ----------
    main
        (B, C, h, w) logits of the decode head.
    auxiliary
        (B, C, h', w') logits of each auxiliary head in training mode; empty in evaluation mode or where
        there is no such head.
    queries
        In training mode what the queries of a head of masks say, after each layer, the last layer last:
        its loss is made from these. Empty in evaluation mode and for every other head.
    """

    main: Tensor
    auxiliary: tuple[Tensor, ...] = ()
    queries: tuple[QueryLogits, ...] = ()


class Segmentor(nn.Module):
    """Images in, class logits out; entry names in the state dict are OpenMMLab's.

    Training and evaluation both go through ``forward``, so wrappers that only see that method
    (distributed training, compilation) see everything.

    Parameters
    ----------
    backbone
        Called with (B, 3, H, W) images; gives a tuple of features, finest first.
    decode_head
        Called with those features; gives (B, C, h, w) logits. A head of masks gives `Logits` with what its
        queries say in training mode.
    auxiliary_head
        Like the decode head, used only in training mode to shorten the way of the gradient; several in a
        ``ModuleList``.
    neck
        Between backbone and heads: features in, features out.
    size_divisor
        In evaluation mode images are padded below and at the right with zeros, the mean colour, until their
        sides are multiples of this, and the logits are cut back.
    """

    def __init__(
        self,
        backbone: nn.Module,
        decode_head: nn.Module,
        auxiliary_head: nn.Module | None = None,
        *,
        neck: nn.Module | None = None,
        size_divisor: int = 1,
    ) -> None:
        super().__init__()
        self.size_divisor = size_divisor
        self.backbone = backbone
        self.neck = neck
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head
        self.has_frozen_backbone = False

    def freeze_backbone(self) -> None:
        """Keep the backbone as it is: it learns no more, and in training mode too it works as in evaluation mode.

        So the statistics of batch normalisation stay, and nothing is left out at random.
        """
        self.has_frozen_backbone = True
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.has_frozen_backbone:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Logits:
        """Return the logits for (B, 3, H, W) images, RGB, normalised as the model card says.

        Enlarge them bilinearly, ``align_corners=False``, to the size that is wanted.
        """
        if not self.training:
            return Logits(main=self._padded_logits(images))
        features = self._features(images)
        decoded = self.decode_head(features)
        logits = decoded if isinstance(decoded, Logits) else Logits(main=decoded)
        if self.auxiliary_head is None:
            return logits
        heads = self.auxiliary_head if isinstance(self.auxiliary_head, nn.ModuleList) else [self.auxiliary_head]
        return logits._replace(auxiliary=tuple(head(features) for head in heads))

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = self.backbone(images)
        return features if self.neck is None else self.neck(features)

    def _padded_logits(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images, self.size_divisor) if self.size_divisor > 1 else images
        logits: Tensor = self.decode_head(self._features(padded))
        if padded is images:
            return logits
        # Whole pixels can only be cut off at the images' own resolution.
        enlarged = F.interpolate(logits, size=padded.shape[-2:], mode="bilinear", align_corners=False)
        return enlarged[..., :height, :width]
