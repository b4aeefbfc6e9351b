"""A segmentation network: a backbone and the heads on it."""

from typing import NamedTuple

from torch import Tensor, nn


class Logits(NamedTuple):
    """What a segmentor gives out, before softmax and at the heads' own resolutions.

    Attributes
    ----------
    main
        (B, C, h, w) logits of the decode head.
    auxiliary
        (B, C, h', w') logits of each auxiliary head in training mode; empty in evaluation mode or where
        there is no such head.
    """

    main: Tensor
    auxiliary: tuple[Tensor, ...] = ()


class Segmentor(nn.Module):
    """Images in, class logits out; entry names in the state dict are OpenMMLab's.

    Training and evaluation both go through ``forward``, so wrappers that only see that method
    (distributed training, compilation) see everything.

    Parameters
    ----------
    backbone
        Called with (B, 3, H, W) images; gives a tuple of features, finest first.
    decode_head
        Called with those features; gives (B, C, h, w) logits.
    auxiliary_head
        Like the decode head, used only in training mode to shorten the way of the gradient; several in a
        ``ModuleList``.
    neck
        Between backbone and heads: features in, features out.
    """

    def __init__(
        self,
        backbone: nn.Module,
        decode_head: nn.Module,
        auxiliary_head: nn.Module | None = None,
        *,
        neck: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head

    def forward(self, images: Tensor) -> Logits:
        """Return the logits for (B, 3, H, W) images, RGB, normalised as the model card says.

        Enlarge them bilinearly, ``align_corners=False``, to the size that is wanted.
        """
        features = self.backbone(images)
        if self.neck is not None:
            features = self.neck(features)
        if not self.training or self.auxiliary_head is None:
            return Logits(main=self.decode_head(features))
        heads = self.auxiliary_head if isinstance(self.auxiliary_head, nn.ModuleList) else [self.auxiliary_head]
        return Logits(main=self.decode_head(features), auxiliary=tuple(head(features) for head in heads))
