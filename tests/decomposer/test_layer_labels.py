"""Training with every layer known."""

import torch

from htcv_lib.decomposer.objective import matched_objective
from htcv_lib.decomposer.set_losses import matched_loss
from htcv_lib.decomposer.set_network import MatchedSetDecomposer


def test_a_few_steps_on_one_batch_lower_the_loss_of_the_layers():
    torch.manual_seed(0)
    model = MatchedSetDecomposer((4, 4, 8, 8))
    mask = torch.zeros(1, 1, 4, 16, 16)
    mask[:, :, 1, 4:12, 4:12] = 1
    shadow = torch.linspace(0.3, 1, 16).expand(1, 1, 4, 16, 16)
    original, light = torch.rand(1, 3, 1, 16, 16), torch.full((1, 1, 4, 16, 16), 0.1)
    occlusion = mask.expand(1, 3, 4, 16, 16)
    image = torch.lerp(original * shadow + light, occlusion, mask)
    batch = {"image": image, "original": original, "shadow": shadow, "light": light, "mask": mask,
             "occlusion": occlusion}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    seen = []
    for _ in range(12):
        terms = matched_objective(model, batch)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        seen.append(terms)
    assert seen[-1]["shadow"] < 0.7 * seen[0]["shadow"] and seen[-1]["mask_bce"] < 0.7 * seen[0]["mask_bce"]


def test_weights_reach_the_loss():
    model = MatchedSetDecomposer((4, 4, 8, 8)).eval()
    batch = {name: torch.rand(1, channels, frames, 16, 16) for name, channels, frames in (
        ("image", 3, 2), ("original", 3, 1), ("shadow", 1, 2), ("light", 1, 2), ("mask", 1, 2), ("occlusion", 3, 2))}
    found = matched_objective(model, batch, light=0.0)
    assert "light" not in found
    torch.testing.assert_close(found["loss"], matched_loss(model(batch["image"]), batch, light=0.0)["loss"])
