"""Models, losses, metrics, data, training, figures and runs of the report book."""

__version__ = "0.1.0"


def load(name: str):
    """The trained network of a reference, with its weights, in evaluation mode, on the CPU.

    The headline networks' weights are committed beside their records, in float16; of others the ones that this machine
    trained are taken.

    Args:
        name: "vae/mnist-done-well", seed 0, or with a seed, "vae/mnist-done-well/s1".

    Returns a network of its family; the docstring of its class says what it takes. Of a game, the one that draws.

    Errors: KeyError for a run without a reference; FileNotFoundError that says which command trains it; ValueError for
    weights that are not those of the record.
    """
    from importlib import import_module

    from safetensors.torch import load_file

    from htcv_lib.runs import Results, find_weights, split_name

    family, variant, seed = split_name(name if name.count("/") == 2 else f"{name}/s0")
    results = Results(family)
    record = results.reference(variant, seed)
    weights = load_file(find_weights(record, results.project))
    part = results.family.variants[variant].get("weights")
    if isinstance(part, str):
        weights = {key.removeprefix(f"{part}."): value for key, value in weights.items()}
    network = import_module(f"htcv_lib.{family}").build_network(record.parameters)
    network.load_state_dict({key: weights[key] for key in network.state_dict()})
    return network.eval()
