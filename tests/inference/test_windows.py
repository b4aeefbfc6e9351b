"""Windows, corners and single logits, as MMSegmentation has them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glomseg.inference.predictor import Predictor
from glomseg.inference.windows import window_spans
from glomseg.models.segmentor import Logits
from glomseg.types import GLOMERULUS, Inference, ModelCard


class Brightness(nn.Module):
    """Gives, at half the resolution, logits that depend on the mean of what is seen, and remembers the sizes seen."""

    def __init__(self, n_logits: int = 2) -> None:
        super().__init__()
        self.n_logits = n_logits
        self.saw: list[torch.Tensor] = []

    def forward(self, images):
        self.saw.append(images)
        grey = images.mean(dim=1, keepdim=True)[..., ::2, ::2] - images.mean() / 2
        return Logits(main=torch.cat([-grey, grey][-self.n_logits :], dim=1))


def predictor(inference: Inference, n_logits: int = 2) -> Predictor:
    card = ModelCard(
        architecture="pspnet_r18", classes=GLOMERULUS, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), inference=inference
    )
    return Predictor(Brightness(n_logits), card, device="cpu", precision="32-true")


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("length", "window", "stride", "spans"),
    [
        (1024, 512, 341, [(0, 512), (341, 853), (512, 1024)]),
        (10, 4, 3, [(0, 4), (3, 7), (6, 10)]),
        (11, 4, 3, [(0, 4), (3, 7), (6, 10), (7, 11)]),
        (4, 4, 3, [(0, 4)]),
        (3, 4, 3, [(0, 3)]),
        (5, 4, 4, [(0, 4), (1, 5)]),
    ],
)
def test_windows_are_a_step_apart_and_the_last_is_moved_back(length, window, stride, spans):
    assert window_spans(length, window_px=window, stride_px=stride) == spans


def test_logits_of_windows_are_averaged_where_they_overlap():
    made = predictor(Inference(window_px=(8, 6), stride_px=(5, 4)))
    picture = image(15, 10)
    logits = made.logits(picture)
    batch = made.prepare([picture])
    total, count = torch.zeros(1, 2, 15, 10), torch.zeros(15, 10)
    for top in (0, 5, 7):
        for left in (0, 4):
            part = batch[..., top : top + 8, left : left + 6]
            own = F.interpolate(Brightness()(part).main, size=(8, 6), mode="bilinear", align_corners=False)
            total[..., top : top + 8, left : left + 6] += own
            count[top : top + 8, left : left + 6] += 1
    assert int(count.max()) == 6
    torch.testing.assert_close(logits, total / count, rtol=0, atol=1e-4)


def test_an_image_smaller_than_the_window_is_seen_unpadded():
    made = predictor(Inference(window_px=(32, 8), stride_px=(16, 8)))
    assert made.logits(image(12, 16)).shape == (1, 2, 12, 16)
    assert [tuple(part.shape[-2:]) for part in made.networks[0].saw] == [(12, 8), (12, 8)]


def test_corners_lie_on_corners_if_the_card_says_so():
    picture = image(8, 8)
    made = predictor(Inference(align_corners=True))
    logits = made.logits(picture)
    coarse = Brightness()(made.prepare([picture])).main
    assert torch.equal(logits[..., ::7, ::7], coarse[..., ::3, ::3])
    assert not torch.equal(predictor(Inference()).logits(picture), logits)


def test_a_single_logit_has_a_threshold_and_probabilities_of_both_classes():
    class Fixed(nn.Module):
        def forward(self, images):
            logit = torch.tensor([0.29, 0.3, 0.31, 0.6]).logit().float()
            return Logits(main=logit.view(1, 1, 1, 4).expand(1, 1, 2, 4))

    card = ModelCard(architecture="pspnet_r18", classes=GLOMERULUS, inference=Inference(threshold=0.3))
    found = Predictor(Fixed(), card, device="cpu", precision="32-true").predict(image(2, 4), keep_probabilities=True)
    assert found.mask[0, [0, 2, 3]].tolist() == [0, 1, 1]
    np.testing.assert_allclose(found.probabilities[1, 0], [0.29, 0.3, 0.31, 0.6], atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-6)
