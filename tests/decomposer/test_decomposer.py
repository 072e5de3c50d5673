import pytest
import torch
from torch import nn

from htcv_lib.decomposer.heads import HEADS, STAGES, Decomposer, freeze_for
from htcv_lib.networks import count_parameters

DEPTHS = (1, 1, 1, 1)


def tiny(drop_path: float = 0.2, seed: int = 0) -> Decomposer:
    torch.manual_seed(seed)
    return Decomposer(8, frames=4, drop_path=drop_path, depths=DEPTHS, light_start=0.5)  # clipped at 0, no gradient


def everything(model: Decomposer, image: torch.Tensor) -> torch.Tensor:
    """A loss that every layer takes part in."""
    layers = model(image)
    return (layers.recompose(hard=False) - image).square().mean() + layers.mask_logits.square().mean()


def test_the_layers_have_the_shapes_and_ranges_they_promise():
    layers = tiny()(torch.rand(2, 3, 4, 24, 32))
    assert [tuple(layer.shape) for layer in layers] == [
        (2, channels, frames, 24, 32) for channels, frames in [(3, 1), (1, 4), (1, 4), (3, 4), (1, 4), (1, 4)]]
    for layer in layers[:5]:
        assert 0 <= layer.min() and layer.max() <= 1
    assert torch.equal(layers.mask, layers.mask_logits.sigmoid())
    assert layers.recompose().shape == (2, 3, 4, 24, 32)


def test_light_is_clipped_on_both_sides():
    model, views = tiny(), torch.rand(1, 3, 4, 16, 16)
    for bias, light in ((-50.0, 0.0), (50.0, 1.0)):
        model.lighting_head.head.bias.data[0] = bias
        assert model(views).light.unique().tolist() == [light]


def test_light_that_starts_on_differs_in_one_bias_alone():
    states = []
    for start in (0.0, 0.5):
        torch.manual_seed(0)
        states.append(Decomposer(8, frames=4, depths=DEPTHS, light_start=start).state_dict())
    changed = {name: (states[1][name] - states[0][name]).tolist() for name in states[0]
               if not torch.equal(states[0][name], states[1][name])}
    assert list(changed) == ["lighting_head.head.bias"]
    assert changed["lighting_head.head.bias"] == pytest.approx([0.5, 0.0])


def test_the_reports_network_has_91_million_weights():
    with torch.device("meta"):
        assert count_parameters(Decomposer()) == 90_993_567


def test_every_parameter_of_the_decomposer_gets_a_gradient():
    model = tiny(drop_path=0.0)
    everything(model, torch.rand(2, 3, 4, 32, 36)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("head", HEADS)
def test_a_head_run_alone_draws_what_it_draws_with_the_others(head):
    model, views = tiny().eval(), torch.rand(1, 3, 4, 16, 24)
    alone, whole = model(views, heads=[head]), model(views)
    drawn = [name for name, layer in alone._asdict().items() if layer is not None]
    assert drawn == {"original": ["original"], "lighting": ["light", "shadow"],
                     "occlusion": ["occlusion", "mask", "mask_logits"]}[head]
    for name in drawn:
        assert torch.equal(getattr(alone, name), getattr(whole, name))


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_of_a_stage_changes_what_it_trains_and_nothing_else(stage):
    model = freeze_for(tiny(), stage)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    model.train()
    everything(model, torch.rand(2, 3, 4, 16, 16)).backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == set(STAGES[stage])
    for part, module in model.named_children():
        touched = [p.grad is not None for p in module.parameters()]
        assert all(touched) if part in STAGES[stage] else not any(touched)


@pytest.mark.parametrize("stage", STAGES)
def test_frozen_parts_stay_in_evaluation_mode_when_training_begins(stage):
    model = freeze_for(tiny(), stage).train()
    assert model.training
    assert {name for name, part in model.named_children() if part.training} == set(STAGES[stage])
    model.eval().train()
    assert not any(module.training for module in model.encoder.modules())


def test_a_frozen_encoder_drops_no_blocks_and_a_free_one_does():
    model, views = tiny(drop_path=0.9).train(), torch.rand(2, 3, 4, 16, 16)
    assert any(not torch.equal(model(views).shadow, model(views).shadow) for _ in range(5))
    freeze_for(model, "joint").train()
    evaluated = model.eval()(views)
    trained = model.train()(views)
    assert all(torch.equal(one, other) for one, other in zip(trained, evaluated, strict=True))


def test_no_stage_trains_everything_again():
    model = freeze_for(freeze_for(tiny(), "mask"), None)
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.train().modules())


def test_a_frozen_model_can_be_wrapped_and_stays_frozen():
    wrapped = nn.ModuleDict({"model": freeze_for(tiny(), "original")})
    wrapped.train()
    assert not wrapped["model"].encoder.training and wrapped["model"].original_head.training


def test_unknown_stages_heads_and_numbers_of_views_are_refused():
    model = tiny()
    with pytest.raises(ValueError, match="a stage is one of original"):
        freeze_for(model, "shadow")
    with pytest.raises(ValueError, match="heads are original"):
        model(torch.rand(1, 3, 4, 16, 16), heads=["shadow"])
    with pytest.raises(ValueError, match="takes 4 views"):
        model(torch.rand(1, 3, 6, 16, 16))
