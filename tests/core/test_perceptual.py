import pytest
import torch

pytest.importorskip("lpips")

import torchvision  # noqa: E402

from htcv_lib.metrics import pictures as perceptual
from htcv_lib.metrics.pictures import BackboneUnavailable, backbone_weights, lpips_distance


@pytest.fixture
def weights_file(tmp_path, monkeypatch):
    """Where the SqueezeNet weights would be, in an empty place."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    perceptual.load_network.cache_clear()
    path = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    path.parent.mkdir(parents=True)
    yield path
    perceptual.load_network.cache_clear()


def test_missing_weights_are_an_error_that_names_the_command(weights_file):
    image = torch.rand(1, 3, 32, 48)
    with pytest.raises(BackboneUnavailable, match="squeezenet1_1.weights='IMAGENET1K_V1'") as error:
        lpips_distance(image, image)
    assert str(weights_file) in str(error.value)
    with pytest.raises(BackboneUnavailable, match="vgg16"):
        backbone_weights("vgg")


def test_a_file_that_is_not_what_its_name_says_is_refused(weights_file):
    weights_file.write_bytes(b"half a download")
    with pytest.raises(BackboneUnavailable, match="damaged"):
        backbone_weights("squeeze")


def test_a_network_lpips_does_not_know_is_refused():
    with pytest.raises(ValueError, match="squeeze, alex, vgg"):
        backbone_weights("resnet")


def test_the_distance_is_the_packages_and_leaves_the_random_numbers_alone(weights_file, monkeypatch):
    import lpips

    torch.manual_seed(3)
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), weights_file)
    monkeypatch.setattr(perceptual, "has_its_digest", lambda path, modified: True)  # random weights will do here
    pred, target = torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    before = torch.random.get_rng_state()
    ours = lpips_distance(torch.cat([pred, target]), torch.cat([target, target]))
    assert torch.equal(torch.random.get_rng_state(), before)
    theirs = lpips.LPIPS(net="squeeze", verbose=False)(2 * pred - 1, 2 * target - 1).flatten()
    assert ours[:2].tolist() == pytest.approx(theirs.tolist(), rel=1e-5) and ours.min() >= 0 and ours[0] > 0
    assert ours[2:].tolist() == [0, 0]
    assert backbone_weights() == "squeezenet1_1-b8a52dc0, IMAGENET1K_V1"
