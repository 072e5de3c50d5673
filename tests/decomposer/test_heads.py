"""Stages of video encoders and their decoders."""

import pytest
import torch
from torch import nn

from htcv_lib.decomposer.heads import (
    HEADS,
    NETWORKS,
    STAGES,
    Decomposer,
    decomposer_network,
    freeze_for,
    trace_sequence,
)
from htcv_lib.decomposer.layers import Decomposition, SetDecomposition
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


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_views_and_returns_what_its_name_says(name):
    found = decomposer_network(name, embed_dim=8, frames=4, depths=DEPTHS)(torch.rand(1, 3, 4, 16, 24))
    if name in ("decomposer", "decomposer_lit", "set", "matched_set"):
        assert isinstance(found, SetDecomposition if name == "set" else Decomposition)
        assert found.recompose().shape == (1, 3, 4, 16, 24)
    else:
        assert found.shape == (1, 3, 1 if name == "one_frame" else 4, 16, 24)


def test_the_autoencoder_without_skips_differs_in_its_skips_alone():
    one, other = (decomposer_network(name, 8, 4, depths=DEPTHS) for name in ("autoencoder", "autoencoder_noskip"))
    assert (one.decoder.skips, other.decoder.skips) == (True, False)
    assert count_parameters(one) == count_parameters(other)


@pytest.mark.parametrize("name", ["decomposer", "one_frame", "reverse_swin"])
def test_the_probability_of_dropping_blocks_arrives(name):
    rates = [module.p for module in decomposer_network(name, 8, 4, drop_path=0.3, depths=DEPTHS).encoder.modules()
             if type(module).__name__ == "StochasticDepth"]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0.3)


def test_the_widths_of_the_set_are_given_or_double():
    assert decomposer_network("set", 8).unet.stem.out_channels == 8
    assert [layer.out_channels for layer in decomposer_network("set", 8).unet.down] == [16, 32, 64]
    assert [layer.out_channels for layer in decomposer_network("set", widths=(8, 8, 8, 16)).unet.down] == [8, 8, 16]


def test_the_light_of_the_lit_one_starts_on():
    biases = []
    for name in ("decomposer", "decomposer_lit"):
        torch.manual_seed(0)
        biases.append(decomposer_network(name, 8, 4, depths=DEPTHS).lighting_head.head.bias[0].item())
    assert biases[1] - biases[0] == pytest.approx(0.5)


def test_unknown_names_and_widths_of_other_networks_are_refused():
    with pytest.raises(ValueError, match="a network is one of decomposer"):
        decomposer_network("unet")
    with pytest.raises(ValueError, match="takes no widths"):
        decomposer_network("decomposer", 8, widths=(8, 8, 8, 8))


SIZE = (1, 3, 10, 32, 32)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return decomposer_network("decomposer", 8, depths=(1, 1, 2, 1))


def test_stages_have_the_shapes_of_the_features_and_of_what_is_drawn(network):
    layers = {layer.name: layer for layer in trace_sequence(network, SIZE)}
    with torch.no_grad():
        features = network.encoder(torch.zeros(SIZE))
        drawn = network.original_head(features)
    assert [layers[f"encoder.stage {k}"].out_shape for k in (1, 2, 3, 4)] == [tuple(each.shape) for each in features]
    assert layers["encoder.patches"].in_shape == SIZE
    assert layers["encoder.merging 1"].in_shape == layers["encoder.stage 1"].out_shape
    assert layers["original_head.head"].out_shape == tuple(drawn.shape)
    assert [layers[f"encoder.stage {k}"].kind for k in (1, 3)] == ["1 block", "2 blocks"]


def test_every_weight_is_in_a_stage_but_those_of_the_last_normalization(network):
    layers = trace_sequence(network, SIZE)
    assert sum(layer.params for layer in layers) + count_parameters(network.encoder.norm) == count_parameters(network)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="got unet, light_head"):
        trace_sequence(decomposer_network("set", 4), SIZE)
