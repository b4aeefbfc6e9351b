import pytest
import torch
import torch.nn.functional as F

from glomseg.models.backbones.unet import UNet


def plain_forward(unet, images):
    """The network as the paper draws it: enlarge, mix channels, join, convolve."""
    skips = [unet.encoder[0](images)]
    for stage in unet.encoder[1:]:
        skips.append(stage(skips[-1]))
    x = skips.pop()
    features = [x]
    for rise in reversed(unet.decoder):
        skip = skips.pop()
        doubled = rise.upsample.interp_upsample(x)[..., : skip.shape[-2], : skip.shape[-1]]
        x = rise.conv_block(torch.cat([skip, doubled], dim=1))
        features.append(x)
    return features


@pytest.mark.parametrize("size", [(16, 16), (21, 38)])
@pytest.mark.parametrize("training", [True, False])
def test_mixing_before_enlarging_gives_the_plain_features_and_gradients(size, training):
    torch.manual_seed(0)
    unet = UNet(base_channels=4, num_stages=4).double().train(training)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    gradients = []
    for features in (unet(images), plain_forward(unet, images)):
        loss = sum(feature.square().mean() for feature in features)
        gradients.append([loss.detach(), *torch.autograd.grad(loss, list(unet.parameters()))])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_features_come_coarsest_first_with_the_channels_it_says():
    unet = UNet(base_channels=4, num_stages=5).eval()
    features = unet(torch.randn(1, 3, 64, 48))
    assert [tuple(feature.shape[-2:]) for feature in features] == [(4, 3), (8, 6), (16, 12), (32, 24), (64, 48)]
    assert tuple(feature.shape[1] for feature in features) == unet.out_channels == (64, 32, 16, 8, 4)


def test_enlarging_keeps_places_where_sizes_are_odd():
    unet = UNet(base_channels=4, num_stages=2)
    coarse = F.max_pool2d(torch.arange(7.0).repeat(1, 1, 7, 1), 2, ceil_mode=True)
    double = unet.decoder[0].upsample.interp_upsample[0]
    # Cells hold columns 1, 3, 5 and 6, and lie at 0.5, 2.5, 4.5 and 6.5, though there is no column 7.
    assert double(coarse)[0, 0, 0, :7].tolist() == [1.0, 1.5, 2.5, 3.5, 4.5, 5.25, 5.75]


def test_its_weight_starts_as_openmmlabs():
    torch.manual_seed(0)
    weight = UNet(base_channels=32, num_stages=2).encoder[1][1].convs[1].conv.weight.detach()
    assert float(weight.std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
