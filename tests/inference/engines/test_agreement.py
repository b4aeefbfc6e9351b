import math

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.images import read_image
from glomseg.inference.engines.agreement import Agreement, compare_with_torch, require_agreement
from glomseg.inference.engines.building import engine_network, predictor_of
from glomseg.models.model_files import load_model
from glomseg.models.segmentor import Logits


@pytest.fixture
def reference(fpn_model):
    return predictor_of(*load_model(fpn_model))


def shifted(reference, by):
    """The reference's network with every first logit moved."""

    def compute(images):
        logits = reference.networks[0](images).main.clone()
        logits[:, 0] += by
        return Logits(main=logits)

    return predictor_of(compute, reference.card)


def test_a_network_agrees_with_itself(reference):
    agreement = compare_with_torch(shifted(reference, 0.0), reference)
    assert (agreement.logit, agreement.probability, agreement.n_other_class) == (0, 0, 0)
    assert agreement.largest_logit > 0
    sizes = {(64, 96), (131, 77), (250, 191), (320, 320)}
    assert set(agreement.sizes) == sizes
    tried = 320 * 320 + sum(height * width for height, width in sizes)
    assert agreement.n_pixels == tried + 2 * 131 * 77  # one size is tried with two images at once
    assert agreement.is_close
    require_agreement(agreement, engine="onnx")


def test_what_is_not_rounding_is_refused(reference):
    agreement = compare_with_torch(shifted(reference, 0.5), reference)
    assert agreement.logit == pytest.approx(0.5, abs=1e-4)
    assert 0.01 < agreement.probability < 0.13
    with pytest.raises(InvalidInputError, match=r"as onnx computes it.*differ by at most 5\.0e-01.*--engine torch"):
        require_agreement(agreement, engine="onnx")


def test_nan_never_agrees(reference):
    agreement = compare_with_torch(shifted(reference, math.nan), reference)
    assert math.isnan(agreement.logit)
    assert not agreement.is_close


def test_small_logits_are_held_to_their_own_size():
    agreement = Agreement(
        logit=1e-4, largest_logit=1e-3, probability=1e-5, n_pixels=1, n_other_class=0, sizes=((1, 1),)
    )
    assert not agreement.is_close


def test_given_images_are_tried_whole_and_in_crops(reference):
    image = np.random.default_rng(0).integers(0, 255, (150, 100, 3), dtype=np.uint8)
    agreement = compare_with_torch(shifted(reference, 0.0), reference, images=[image])
    assert agreement.sizes[0] == (150, 100)
    assert len(agreement.sizes) == 5
    assert "on 5 images of 5 sizes" in agreement.describe()


@pytest.mark.real
def test_real_tissue_of_several_sizes(shared_data, fpn_model, fpn_graph, reference):
    tile = read_image(shared_data / "aidpath_pas" / "images" / "AIDPATH_C_1.png")[:300, :417]
    engine = predictor_of(engine_network(fpn_graph, engine="openvino", name="it"), reference.card)
    agreement = compare_with_torch(engine, reference, images=[tile])
    assert agreement.probability < 1e-4
    assert agreement.n_other_class <= 2


def test_logits_of_other_classes_are_refused(reference):
    wrong = predictor_of(lambda images: Logits(main=images.repeat(1, 2, 1, 1)), reference.card)
    with pytest.raises(InvalidInputError, match=r"the engine gives \(1, 6, .* logits where PyTorch gives \(1, 2,"):
        compare_with_torch(wrong, reference)
