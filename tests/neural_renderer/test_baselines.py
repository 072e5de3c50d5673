import torch

from htcv_lib.neural_renderer.baselines import AllBlack, MeanImage, NearestScene


def batch(*levels: int) -> dict[str, torch.Tensor]:
    """Pictures of one grey level of 255 each; the scene's first number is the level."""
    grey = torch.tensor(levels).float().view(-1, 1)
    return {"input": torch.cat((grey, torch.zeros(len(levels), 9)), 1),
            "image": (grey / 255).view(-1, 1, 1, 1).repeat(1, 3, 2, 3)}


def test_all_black_is_black():
    assert torch.equal(AllBlack().pictures(batch(3, 200)), torch.zeros(2, 3, 2, 3))


def test_the_mean_image_weighs_every_picture_the_same():
    pictures = MeanImage().fit([batch(10, 20), batch(60)]).pictures(batch(1, 2))
    torch.testing.assert_close(pictures, batch(30, 30)["image"])


def test_the_nearest_scene_brings_its_own_picture():
    model = NearestScene().fit([batch(10, 20), batch(60)])
    assert model.nearest(batch(14, 41, 16)["input"]).tolist() == [0, 2, 1]
    assert torch.equal(model.pictures(batch(14, 41, 16)), batch(10, 60, 20)["image"])


def test_nearest_counts_all_ten_numbers():
    seen = {"input": torch.eye(10), "image": batch(*range(10))["image"]}
    assert NearestScene().fit([seen]).nearest(torch.eye(10) * 0.9).tolist() == list(range(10))
