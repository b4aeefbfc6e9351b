"""A model that MMSegmentation trained says here what it says there."""

import numpy as np
import pytest

from glomseg.images import read_image
from glomseg.inference.predictor import Predictor
from glomseg.models.build import build_model
from glomseg.models.starting_weights import load_matching
from glomseg.models.torch_checkpoints import read_torch_checkpoint, state_dict_of
from glomseg.types import GLOMERULUS, ModelCard, Scaling

OPTIONS = {"base_channels": 8, "stem_channels": 8, "head_channels": 16, "auxiliary_channels": 8}


@pytest.mark.real
@pytest.mark.parametrize("tile", ["AIDPATH_D_1", "AIDPATH_E_2"])
def test_logits_to_rounding_and_the_same_mask(shared_data, tile):
    folder = shared_data.parent / "openmmlab"
    model = build_model("pspnet_r18", n_classes=2, **OPTIONS)
    path = folder / "tiny_pspnet_r18_iter_60.pth"
    report = load_matching(model, state_dict_of(read_torch_checkpoint(path), path=path), source=path)
    assert not report.missing
    assert not report.skipped
    scaling = Scaling(fit_px=(320, 240), interpolation="bilinear")
    card = ModelCard(architecture="pspnet_r18", options=OPTIONS, classes=GLOMERULUS, scaling=scaling)
    predictor = Predictor(model, card, device="cpu", precision="32-true")
    image = read_image(shared_data / "aidpath_pas" / "images" / f"{tile}.png")

    reference = np.load(folder / "tiny_pspnet_reference.npz")
    expected = reference[f"{tile}_logits_stride8"]
    logits = predictor.logits(image)[0, :, ::8, ::8].numpy()
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max() + 1e-5
    mask = np.unpackbits(reference[f"{tile}_mask_packed"])[: 1024 * 1024].reshape(1024, 1024)
    assert 0 < mask.mean() < 1
    assert np.array_equal(predictor.predict(image).mask, mask)
