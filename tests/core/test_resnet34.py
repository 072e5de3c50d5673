import torch
from torchvision.models import resnet34

from htcv_lib.networks import count_parameters
from htcv_lib.vae.networks import ResNet34Encoder


def test_it_is_torchvisions_net_but_for_the_stem_and_the_head():
    with torch.device("meta"):
        ours = count_parameters(ResNet34Encoder(out_features=10))
        theirs = count_parameters(resnet34(num_classes=10))
    assert ours == theirs - 3 * 64 * 7 * 7 + 3 * 64 * 3 * 3


def test_it_computes_what_torchvisions_stages_compute():
    torch.manual_seed(0)
    ours, theirs = ResNet34Encoder(out_features=10).eval(), resnet34(num_classes=10).eval()
    theirs.conv1, theirs.bn1, theirs.maxpool = ours[0][0], ours[0][1], torch.nn.Identity()
    for mine, name in zip(list(ours)[1:5], ("layer1", "layer2", "layer3", "layer4"), strict=True):
        getattr(theirs, name).load_state_dict(mine.state_dict())
    theirs.fc.load_state_dict(ours[-1].state_dict())
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image))


def test_an_image_of_32_pixels_reaches_the_last_stage_with_4():
    net = ResNet34Encoder((2, 4, 6, 8), out_features=5, in_channels=1)
    sizes, x = [], torch.rand(2, 1, 32, 32)
    for stage in net:
        x = stage(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 32, 32), (2, 32, 32), (4, 16, 16), (6, 8, 8), (8, 4, 4), (8, 1, 1), (8,), (5,)]
