"""Models, losses, metrics, data, training, figures and runs of the report book."""

from collections.abc import Callable, Iterable
from pathlib import Path

__version__ = "0.1.0"
MOST = 20  # pictures of your own on one sheet


def load(name: str, profile: str = ""):
    """The trained network of a reference, with its weights, in evaluation mode, on the CPU.

    The headline networks' weights are committed beside their records, in float16; of others the ones that this machine
    trained are taken.

    Args:
        name: "vae/mnist-done-well", seed 0, or with a seed, "vae/mnist-done-well/s1".
        profile: Of which size, where a run has references of several; default: the one that tables compare.

    Returns a network of its family; the docstring of its class says what it takes. Of a game, the one that draws.

    Errors: KeyError for a run without a reference; FileNotFoundError that says which command trains it; ValueError for
    weights that are not those of the record.
    """
    from importlib import import_module

    from safetensors.torch import load_file

    from htcv_lib.runs import find_weights

    results, record = _reference(name, profile)
    weights = load_file(find_weights(record, results.project))
    part = results.family.variants[record.variant].get("weights")
    if isinstance(part, str):
        weights = {key.removeprefix(f"{part}."): value for key, value in weights.items()}
    network = import_module(f"htcv_lib.{record.family}").build_network(record.parameters)
    network.load_state_dict({key: weights[key] for key in network.state_dict()})
    return network.eval()


def show(name: str, paths: Iterable[str | Path], label: int | None = None, say: Callable[[str], None] = print):
    """What a trained network makes of your own pictures, as one sheet: a matplotlib figure. Nothing is trained.

    A family takes part that has `own_sheet(network, images, names)`; with `own_reader(parameters)` it says how a file
    becomes (1, C, H, W) in [0, 1], else it is squashed to the run's `image_size`.

    Args:
        name: As for `load`.
        paths: Picture files, or folders of them; of a folder, a picture that cannot be read is named and left out.
        label: What your digits are; without it, the report's classifier reads them.
        say: Is told, in a line each, what was left out.

    Errors: ValueError or OSError, one line, for a run without reference, weights or pictures to take, a label that has
    no place, a file or folder that is not there or cannot be read, and what the family refuses.
    """
    from functools import partial
    from importlib import import_module
    from inspect import signature

    import torch

    from htcv_lib.image import read_picture

    try:
        _, record = _reference(name)
    except KeyError:
        raise ValueError(f"{name}: no reference, so no trained network; `htcv status` lists the runs") from None
    family = import_module(f"htcv_lib.{record.family}")
    sheet = getattr(family, "own_sheet", None)
    if sheet is None:
        raise ValueError(f"{name}: the networks of {record.family} take no pictures")
    asked = {"label": label, "load": load} if "label" in signature(sheet).parameters else {}
    if label is not None and not asked:
        raise ValueError(f"{name}: a label is for networks that are told one")
    reader = getattr(family, "own_reader", None)
    read = reader(record.parameters) if reader else partial(read_picture, size=record.parameters["image_size"])
    network = load(name)
    found = _read_all(paths, read, say)
    with torch.no_grad():
        return sheet(network, torch.cat([image for _, image in found]), [name for name, _ in found], **asked)


def _reference(name: str, profile: str = "") -> tuple:
    """The results of a run's family, and its reference, of one profile if asked for.

    Errors: KeyError for a run without one.
    """
    from htcv_lib.runs import Results, split_name

    family, variant, seed = split_name(name if name.count("/") == 2 else f"{name}/s0")
    results = Results(family)
    if not profile:
        return results, results.reference(variant, seed)
    for record in results.of_profile(profile):
        if (record.variant, record.seed) == (variant, seed):
            return results, record
    raise KeyError(f"no reference of {family}/{variant}/s{seed}, profile {profile}")


def _read_all(paths: Iterable[str | Path], read: Callable, say: Callable[[str], None]) -> list[tuple]:
    """Name and picture of each file, at most `MOST`. Errors: ValueError, one line."""
    from htcv_lib.image import READ, pictures_in

    found, left_out = [], 0
    for path in (Path(path).expanduser() for path in paths):
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        for file in pictures_in(path) if path.is_dir() else [path]:
            if len(found) == MOST:
                left_out += 1
                continue
            try:
                found.append((file.name, read(file)))
            except ValueError as fault:
                if file == path:
                    raise
                say(f"left out {fault}")
    if not found:
        raise ValueError(f"no pictures there that can be read ({', '.join(sorted(READ))})")
    if left_out:
        say(f"left out {left_out} pictures: a sheet has {MOST}")
    return found
