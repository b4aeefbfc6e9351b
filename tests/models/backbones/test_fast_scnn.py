import torch

from glomseg.models.backbones.fast_scnn import FastSCNN


def test_detail_and_fusion_are_at_stride_8_and_surroundings_at_32():
    backbone = FastSCNN(
        downsample_dw_channels=(4, 6),
        global_in_channels=8,
        global_block_channels=(8, 12, 16),
        global_out_channels=24,
        fusion_out_channels=12,
    ).eval()
    features = backbone(torch.randn(1, 3, 64, 96))
    assert [tuple(feature.shape[1:]) for feature in features] == [(8, 8, 12), (24, 2, 3), (12, 8, 12)]
    assert backbone.out_channels == (8, 24, 12)


def test_blocks_add_their_input_where_the_shape_stays():
    backbone = FastSCNN().eval()
    first, second, _ = backbone.global_feature_extractor.bottleneck1
    for block in (first, second):
        torch.nn.init.zeros_(block.conv[2].bn.weight)
    x = torch.randn(1, 64, 8, 8)
    assert torch.equal(second(x), x)
    assert torch.equal(first(x), torch.zeros(1, 64, 4, 4))


def test_every_pixel_of_the_fusion_sees_the_whole_image():
    torch.manual_seed(0)
    backbone = FastSCNN().eval()
    images = torch.randn(1, 3, 256, 256, requires_grad=True)
    fusion = backbone(images)[2]
    fusion[0, :, 0, 0].sum().backward()
    assert images.grad[0, :, -8:, -8:].abs().max() > 0
