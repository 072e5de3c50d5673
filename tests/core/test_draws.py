import pytest
import torch

from htcv_lib.data.augment import Draws, picture_draws, picture_generator


def test_numbers_are_handed_out_in_order_and_none_twice():
    draws = Draws(torch.tensor([[0.25, 0.5, 0.999]]))
    assert draws.uniform(2, 4).tolist() == [2.5]
    assert draws.log_uniform(1, 100).tolist() == pytest.approx([10])
    assert draws.choice(3).tolist() == [2]
    with pytest.raises(IndexError, match="only 3 numbers were drawn per picture"):
        draws.uniform()


def test_a_chance_is_true_as_often_as_it_says():
    draws = Draws(torch.tensor([[0.1], [0.29], [0.3], [0.9]]))
    assert draws.chance(0.3).tolist() == [True, True, False, False]


def test_a_picture_draws_the_same_whoever_is_drawn_beside_it():
    def rows(indices):
        return picture_draws([picture_generator(7, i, "test") for i in indices], 5).numbers
    assert torch.equal(rows([3, 4, 5])[1], rows([4])[0])
    assert not torch.equal(rows([4]), rows([5]))
    assert not torch.equal(rows([4]), picture_draws([picture_generator(8, 4, "test")], 5).numbers)
