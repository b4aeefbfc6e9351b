import pytest
import torch

from glomseg.models.build import build_model


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 70), (1, 1), (5, 130)])
def test_logits_of_any_size_are_at_stride_four(height, width):
    model = build_model("fpn_resnet_small", n_classes=3).eval()
    logits = model(torch.randn(2, 3, height, width))
    assert logits.main.shape == (2, 3, -(-height // 4), -(-width // 4))
    assert logits.auxiliary == ()


def test_it_is_small_and_works_at_stride_four_and_beyond():
    model = build_model("fpn_resnet_small", n_classes=2)
    assert sum(value.numel() for value in model.parameters()) == pytest.approx(3.0e6, rel=0.05)
    sizes = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[-1]))
    model(torch.randn(2, 3, 128, 128))
    assert max(sizes) == 32


def test_every_parameter_gets_a_gradient_that_is_finite():
    torch.manual_seed(0)
    model = build_model("fpn_resnet_small", n_classes=2)
    model(torch.randn(2, 3, 64, 64)).main.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


def test_it_can_learn_a_tile_by_heart():
    torch.manual_seed(0)
    model = build_model("fpn_resnet_small", n_classes=2, channels=(16, 16, 16, 16), n_blocks=(1, 1, 1, 1))
    images = torch.randn(2, 3, 64, 64)
    mask = (torch.arange(16)[None, :, None] < 8).expand(2, 16, 16).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(model(images).main, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
