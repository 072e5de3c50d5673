import pytest
import torch
from sklearn.metrics import average_precision_score

from htcv_lib.decomposer.scores import average_precision


def test_by_hand_two_positives_at_ranks_one_and_three():
    score = torch.tensor([[0.9, 0.8, 0.7, 0.1]])
    target = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    assert average_precision(score, target).tolist() == pytest.approx([0.5 * 1 + 0.5 * 2 / 3])


@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_scikit_learns_with_and_without_many_equal_scores(levels):
    generator = torch.Generator().manual_seed(0)
    score = (torch.rand(4, 1, 3, 10, 12, generator=generator) * levels).round() / levels
    target = (torch.rand(score.shape, generator=generator) + 0.3 * score) > 0.8
    expected = [average_precision_score(t.flatten().numpy(), s.flatten().numpy())
                for s, t in zip(score, target, strict=True)]
    found = average_precision(score, target)
    assert found.dtype == torch.float64 and found.tolist() == pytest.approx(expected)


def test_a_constant_score_gets_the_share_of_positives_and_a_perfect_one_gets_one():
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]])
    assert average_precision(torch.full((1, 5), 0.3), target).item() == pytest.approx(0.2)
    assert average_precision(target, target).item() == 1


def test_without_positives_there_is_no_score():
    assert average_precision(torch.rand(1, 6), torch.zeros(1, 6)).isnan().all()


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        average_precision(torch.rand(1, 6), torch.zeros(6))
