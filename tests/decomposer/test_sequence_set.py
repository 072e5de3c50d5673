import pytest
import torch

from htcv_lib.data.batches import FieldBatches
from htcv_lib.decomposer.sequences import SequenceSet


def numbered(*shape, dtype=torch.uint8):
    """Every element of sequence n is n: whatever is shuffled apart shows."""
    number = torch.arange(shape[0]).view(-1, *[1] * (len(shape) - 1))
    return number.expand(shape).to(dtype).contiguous()


def pool(count=5, **more):
    return SequenceSet(numbered(count, 3, 4, 6, 8), numbered(count, 3, 1, 6, 8), numbered(count, 1, 4, 6, 8),
                       numbered(count, 3, 4, 6, 8), names=[f"{n:03d}" for n in range(count)], **more)


def test_a_batch_has_the_agreed_fields_in_float32_and_bytes_become_shares():
    data = pool(shadows=torch.full((5, 1, 4, 6, 8), 0.5).half(), lights=numbered(5, 1, 4, 6, 8, dtype=torch.float16),
                irradiances=torch.full((5, 3, 4, 6, 8), 7.0).half())
    batch = next(iter(FieldBatches(data, 2)))
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "image": (2, 3, 4, 6, 8), "original": (2, 3, 1, 6, 8), "mask": (2, 1, 4, 6, 8), "occlusion": (2, 3, 4, 6, 8),
        "shadow": (2, 1, 4, 6, 8), "light": (2, 1, 4, 6, 8), "irradiance": (2, 3, 4, 6, 8), "index": (2,)}
    assert {value.dtype for key, value in batch.items() if key != "index"} == {torch.float32}
    assert batch["mask"][1].unique().item() == pytest.approx(1 / 255)
    assert batch["light"][1].unique().item() == 1 and batch["irradiance"].unique().item() == 7


def test_what_is_unknown_is_in_no_batch():
    data = SequenceSet(numbered(2, 3, 4, 6, 8))
    assert set(next(iter(FieldBatches(data, 2)))) == {"image", "index"}
    assert list(data.subset([1]).tensors()) == ["image"] and data.subset([1]).names == []


def test_a_subset_keeps_fields_labels_and_names_together_in_the_order_asked_for():
    data = pool().with_fields(pseudo_mask=numbered(5, 1, 4, 6, 8)).subset([3, 0])
    assert len(data) == 2 and data.names == ["003", "000"]
    for tensor in data.tensors().values():
        assert tensor.flatten(1).unique(dim=1).flatten().tolist() == [3, 0]


def test_pseudo_labels_come_in_batches_are_rounded_to_half_precision_and_replace_older_ones():
    data = pool().with_fields(pseudo_light=torch.full((5, 1, 4, 6, 8), 0.1, requires_grad=True))
    data = data.with_fields(pseudo_mask=torch.full((5, 1, 4, 6, 8), 255, dtype=torch.uint8))
    assert data.pseudo["pseudo_light"].dtype == torch.float16 and not data.pseudo["pseudo_light"].requires_grad
    batch = next(iter(FieldBatches(data, 5)))
    assert batch["pseudo_light"].unique().item() == pytest.approx(0.1, rel=2**-11)
    assert batch["pseudo_mask"].unique().item() == 1
    again = data.with_fields(pseudo_mask=torch.zeros(5, 1, 4, 6, 8))
    assert again.pseudo["pseudo_mask"].any().item() is False and data.pseudo["pseudo_mask"].all()


def test_a_set_moves_as_a_whole():
    data = pool().with_fields(pseudo_light=torch.zeros(5, 1, 4, 6, 8)).to("meta")
    assert {tensor.device.type for tensor in data.tensors().values()} == {"meta"} and len(data.names) == 5


@pytest.mark.parametrize(("change", "message"), [
    (dict(pseudo_light=torch.zeros(4, 1, 4, 6, 8)), "5 sequences, but found {'pseudo_light': 4}"),
    (dict(shadow=torch.zeros(5, 1, 4, 6, 8)), "names of fields: shadow"),
    (dict(pseudo_mask=torch.zeros(5, 1, 4, 6, 8, dtype=torch.int64)), "pseudo_mask must be floating point or uint8"),
])
def test_pseudo_labels_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        pool().with_fields(**change)


def test_fields_and_names_of_another_length_are_refused():
    with pytest.raises(ValueError, match="found {'original': 2, 'names': 1}"):
        SequenceSet(numbered(3, 3, 4, 6, 8), numbered(2, 3, 1, 6, 8), names=["a"])
