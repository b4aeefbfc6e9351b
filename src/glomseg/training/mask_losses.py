"""The loss of networks whose queries each find one mask and name its class.

A tile is a set of masks, one for every class that is labelled in it. Each is given to the query that finds it
best, and the other queries have to say "no object". **An empty tile** is one mask of background.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from glomseg.models.segmentor import QueryLogits
from glomseg.types import IGNORE_INDEX

OVERSAMPLING = 3
"""Points that are drawn for each that is taken for its uncertainty."""
UNCERTAIN_SHARE = 0.75
"""Share of the points of a mask that lie where the network is least sure."""
DICE_SMOOTHING = 1.0
"""Points added to overlap and mass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskLoss:
    """Cross-entropy of the queries' classes, cross-entropy and Dice of their masks, summed over all layers.

    The weights, which serve for matching too, and the number of points are those of the paper.

    Attributes
    ----------
    classes, masks, dice
        Weights of the three parts.
    no_object
        Weight of a query without a mask in the cross-entropy of classes.
    class_weights
        Weight of each class there; None is 1 for all.
    n_points
        Points at which masks are compared, instead of at all pixels.

    References
    ----------
    Cheng et al., Masked-attention Mask Transformer for Universal Image Segmentation, CVPR 2022, sections 3.3 and 4.1.
    """

    classes: float = 2.0
    masks: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1
    class_weights: tuple[float, ...] | None = None
    n_points: int = 12_544

    def __call__(self, queries: Sequence[QueryLogits], mask: Tensor) -> Tensor:
        """Return the scalar loss.

        Parameters
        ----------
        queries
            Of each layer: classes (B, Q, C + 1) and masks (B, Q, h, w), whose size may be smaller than the mask's.
        mask
            (B, H, W) int64 class index. Pixels with 255 have no mask of their own and lie outside all others.
        """
        targets = [masks_of_classes(tile, like=queries[0].masks) for tile in mask]
        n_queries = queries[0].classes.shape[1]
        # As in OpenMMLab a tile without masks counts like one with a single mask.
        n_matched = mask.new_tensor(sum(min(max(len(target.labels), 1), n_queries) for target in targets))
        n_matched = _mean_over_processes(n_matched)
        return torch.stack([self._one_layer(layer, targets, n_matched=n_matched) for layer in queries]).sum()

    def _one_layer(self, layer: QueryLogits, targets: Sequence["TileMasks"], *, n_matched: Tensor) -> Tensor:
        pairs = [self.match(*tile, target) for tile, target in zip(zip(*layer, strict=True), targets, strict=True)]
        no_object = layer.classes.shape[-1] - 1
        labels = torch.full(layer.classes.shape[:2], no_object, device=layer.classes.device)
        for index, (query, wanted) in enumerate(pairs):
            labels[index, query] = targets[index].labels[wanted]
        weights = layer.classes.new_tensor([*(self.class_weights or [1.0] * no_object), self.no_object])
        loss = self.classes * F.cross_entropy(layer.classes.flatten(0, 1), labels.flatten(), weight=weights)

        logits = torch.cat([masks[query] for masks, (query, _) in zip(layer.masks, pairs, strict=True)])
        truth = torch.cat([target.masks[wanted] for target, (_, wanted) in zip(targets, pairs, strict=True)])
        if len(truth) == 0:  # all pixels are ignored
            return loss + logits.sum()  # 0, but parameters of masks must not be missing in a distributed run
        points = uncertain_points(logits.detach(), n_points=self.n_points)
        logits, truth = sample_points(logits, points), sample_points(truth, points)
        crossed = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / self.n_points
        inside = logits.sigmoid()
        diced = _dice(overlap=(inside * truth).sum(dim=1), mass=inside.sum(dim=1) + truth.sum(dim=1))
        return loss + (self.masks * crossed + self.dice * diced.sum()) / n_matched

    @torch.no_grad()
    def match(self, classes: Tensor, masks: Tensor, target: "TileMasks") -> tuple[Tensor, Tensor]:
        """Return which query of a tile gets which of its masks, so that they cost least together.

        Parameters
        ----------
        classes, masks
            (Q, C + 1) and (Q, h, w) logits of the queries.
        target
            The tile's masks.

        Returns
        -------
        queries, wanted
            int64 indices of the pairs, as many as there are masks, or queries if these are fewer.
        """
        points = random_points(1, self.n_points, like=masks)
        logits = sample_points(masks, points.expand(len(masks), -1, -1))  # (Q, P)
        truth = sample_points(target.masks, points.expand(len(target.masks), -1, -1))  # (K, P)
        inside = logits.sigmoid()
        # Of a logit's cross-entropies with 0 and with 1 the difference is the logit itself.
        crossed = (F.softplus(logits).sum(dim=1)[:, None] - logits @ truth.T) / self.n_points
        cost = (
            self.masks * crossed
            + self.dice * _dice(overlap=inside @ truth.T, mass=inside.sum(dim=1)[:, None] + truth.sum(dim=1))
            - self.classes * classes.softmax(dim=-1)[:, target.labels]
        )
        # A loss that is no number is for the training loop to report.
        queries, wanted = linear_sum_assignment(cost.nan_to_num().cpu().numpy())
        return torch.from_numpy(queries).to(masks.device), torch.from_numpy(wanted).to(masks.device)


@dataclass(frozen=True, slots=True)
class TileMasks:
    """The masks of a tile: (K,) int64 classes and (K, H, W) float masks of zeros and ones."""

    labels: Tensor
    masks: Tensor


def masks_of_classes(mask: Tensor, *, like: Tensor) -> TileMasks:
    """Return a mask of the type of `like` for each class in a (H, W) tile, whose 255 belongs to none."""
    labels = torch.unique(mask)
    labels = labels[labels != IGNORE_INDEX]
    return TileMasks(labels, (mask == labels[:, None, None]).to(like.dtype))


def random_points(n: int, n_points: int, *, like: Tensor) -> Tensor:
    """Return (n, n_points, 2) points (x, y), evenly distributed from 0 to 1."""
    return torch.rand(n, n_points, 2, dtype=like.dtype, device=like.device)


def uncertain_points(logits: Tensor, *, n_points: int) -> Tensor:
    """Return (N, n_points, 2) points, most of them where the (N, h, w) logits are nearest to 0, the rest anywhere.

    References
    ----------
    Kirillov et al., PointRend: Image Segmentation as Rendering, CVPR 2020, section 3.1.
    """
    n_uncertain = int(UNCERTAIN_SHARE * n_points)
    drawn = random_points(len(logits), OVERSAMPLING * n_points, like=logits)
    chosen = sample_points(logits, drawn).abs().topk(n_uncertain, dim=1, largest=False).indices
    uncertain = drawn.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([uncertain, random_points(len(logits), n_points - n_uncertain, like=logits)], dim=1)


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Return the (N, P) values of maps (N, h, w) at points (N, P, 2), which are x and y from 0 to 1, bilinearly.

    Conventions
    -----------
    As in OpenMMLab beyond the border there is zero, so that in the outer half of a border pixel both a mask and
    logits go towards it.
    """
    grid = 2 * points[:, :, None] - 1
    return F.grid_sample(maps[:, None], grid, mode="bilinear", align_corners=False)[:, 0, :, 0]


def _dice(*, overlap: Tensor, mass: Tensor) -> Tensor:
    return 1 - (2 * overlap + DICE_SMOOTHING) / (mass + DICE_SMOOTHING)


def _mean_over_processes(count: Tensor) -> Tensor:
    if not torch.distributed.is_initialized():
        return count
    total = count.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
