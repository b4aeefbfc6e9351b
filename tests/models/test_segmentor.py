import torch
from torch import nn

from glomseg.models.segmentor import Logits, QueryLogits, Segmentor


class Halved(nn.Module):
    """A backbone whose one feature is the image at stride 2."""

    def forward(self, images):
        return (images[..., ::2, ::2],)


class First(nn.Module):
    """A head that gives the first feature."""

    def forward(self, features):
        return features[0]


class Queries(nn.Module):
    def forward(self, features):
        return Logits(main=features[0], queries=(QueryLogits(torch.zeros(1, 1, 3), torch.zeros(1, 1, 2, 2)),))


def test_images_are_padded_to_the_divisor_for_prediction_and_logits_cut_back():
    seen = []
    network = Segmentor(Halved(), First(), size_divisor=32).eval()
    network.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.randn(1, 3, 40, 33)
    main = network(images).main
    assert seen[0].shape == (1, 3, 64, 64)
    assert torch.equal(seen[0][..., :40, :33], images)
    assert seen[0].count_nonzero() == images.count_nonzero()
    padded = torch.nn.functional.interpolate(seen[0][..., ::2, ::2], size=(64, 64), mode="bilinear")
    assert torch.equal(main, padded[..., :40, :33])


def test_images_that_fit_keep_the_head_s_resolution():
    network = Segmentor(Halved(), First(), size_divisor=32).eval()
    assert network(torch.randn(1, 3, 64, 32)).main.shape == (1, 3, 32, 16)


def test_training_images_are_taken_as_they_are():
    assert Segmentor(Halved(), First(), size_divisor=32).train()(torch.randn(1, 3, 8, 8)).main.shape == (1, 3, 4, 4)


def test_what_queries_say_goes_on_beside_auxiliary_logits():
    logits = Segmentor(Halved(), Queries(), First()).train()(torch.randn(1, 3, 8, 8))
    assert len(logits.queries) == 1
    assert [item.shape for item in logits.auxiliary] == [(1, 3, 4, 4)]
