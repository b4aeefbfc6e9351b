"""Mask2FormerHead, against float64 figures of the real MMSegmentation 1.2.2 among others."""

import numpy as np
import pytest
import torch

from glomseg.models.heads.mask2former.head import class_scores
from glomseg.models.segmentor import QueryLogits

from ...goldens import layout
from .small import filled_head, hashed_features, small_head


def test_scores_are_openmmlabs_to_1e_9():
    # The real head's positions were computed in float64 as well for these figures, instead of its float32.
    head = filled_head().eval()
    with torch.no_grad():
        scores = head(hashed_features())
    assert scores.shape == (2, 3, 96, 80)
    found = [float(scores.mean()), float(scores.std()), *scores[0, :, 0, 0].tolist(), *scores[1, :, -1, -1].tolist()]
    expected = [
        *(0.47360460451516584, 0.8772634851704497),
        *(0.0001492442491097638, 0.0008998378786807257, 0.0019281165619232455),
        *(4.948575519079116e-06, 0.0004156076801732433, 3.388588382806524e-05),
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_entries_are_openmmlabs():
    assert layout(small_head()) == (138, 83220, "fb4b304200563cff")


def test_training_mode_tells_what_queries_say_after_every_layer_and_evaluation_mode_joins_the_last():
    head, features = filled_head(), hashed_features()
    with torch.no_grad():
        logits = head.train()(features)
        scores = head.eval()(features)
    assert [tuple(layer.classes.shape) for layer in logits.queries] == [(2, 5, 4)] * 5
    assert [tuple(layer.masks.shape) for layer in logits.queries] == [(2, 5, 24, 20)] * 5
    last = logits.queries[-1]
    torch.testing.assert_close(logits.main, class_scores(last))
    enlarged = torch.nn.functional.interpolate(last.masks, size=(96, 80), mode="bilinear")
    torch.testing.assert_close(scores, class_scores(QueryLogits(last.classes, enlarged)))


def test_scores_count_every_query_but_not_no_object():
    classes = torch.tensor([[[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]]]).log()
    masks = torch.tensor([[0.5, 0.2], [0.1, 0.9]]).logit().view(1, 2, 1, 2)
    expected = torch.tensor([[0.25 + 0.0125, 0.1 + 0.1125], [0.125 + 0.075, 0.05 + 0.675]]).view(1, 2, 1, 2)
    torch.testing.assert_close(class_scores(QueryLogits(classes, masks)), expected)


def test_a_query_looks_inside_its_mask_and_everywhere_if_that_is_empty():
    head = small_head()
    with torch.no_grad():
        head.mask_embed[4].weight.zero_()
        head.mask_embed[4].bias.zero_()[0] = 1  # the mask is the first channel of the map
        shrunk = torch.zeros(2, 32, 2, 2)
        shrunk[0, 0] = torch.tensor([[1.0, -1], [-2, 3]])
        shrunk[1, 0] = -1
        inside = head._inside(torch.randn(2, 5, 32), shrunk)
    assert inside[0].tolist() == [[True, False, False, True]] * 5
    assert inside[1].all()


@pytest.mark.parametrize("training", [False, True])
def test_every_parameter_gets_a_gradient_from_the_queries(training):
    torch.manual_seed(0)
    head = small_head().train(training)
    features = [feature.float() for feature in hashed_features()]
    output = head(features)
    if training:
        loss = sum(layer.classes.square().mean() + layer.masks.square().mean() for layer in output.queries)
    else:
        loss = output.square().mean()
    loss.backward()
    for name, value in head.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name


def test_it_computes_in_bf16_too():
    head = small_head().eval()
    features = [feature.float() for feature in hashed_features()]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = head(features)
    assert half.isfinite().all()
