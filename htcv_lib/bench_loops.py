"""What `htcv bench` trains: models and losses of the families, our batches of their pictures, and the usual loop."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms, tv_tensors
from torchvision.transforms import v2

from htcv_lib.data import (
    Batches,
    FieldBatches,
    augmentation,
    depth_augmentation,
    load_cifar10,
    load_mnist,
    load_pets,
    load_standing_pets,
)
from htcv_lib.losses import mask_depth_loss
from htcv_lib.models import UNet, frozen, make_classifier, make_label_vae, mask_depth_network
from htcv_lib.training import vae_objective

PET_SIZE = 64  # pixels on a side
STANDING = 240  # generated pictures

Objective = Callable[[nn.Module, dict[str, Tensor]], Tensor]


def problem(task: str, device: str) -> tuple[nn.Module, Objective]:
    """The model of a task, on a device, and the loss of a batch."""
    if task.startswith("vae"):
        return vae_problem(task, device)
    if task == "mask_depth":
        return mask_depth_problem(device)
    if task == "unet":
        model = UNet(widths=(8, 16, 32, 64, 64))
        return model.to(device), lambda net, batch: F.cross_entropy(net(batch["image"]), batch["mask"])
    if task == "mnist":
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        return model.to(device), lambda net, batch: F.cross_entropy(net(batch["image"]), batch["label"])
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 20), nn.Linear(20, 400),
                          nn.ReLU(), nn.Linear(400, 784))
    return model.to(device), lambda net, batch: F.binary_cross_entropy_with_logits(net(batch["image"]),
                                                                                   batch["image"].flatten(1))


def vae_problem(task: str, device: str) -> tuple[nn.Module, Objective]:
    """The report's step: labels perturbed, one-sample KL, label loss of a frozen guide (not trained: it is as fast)."""
    if task == "vae":
        model, guide, weight = make_label_vae("digit", (1, 28, 28), 10), make_classifier("digit", 1), 100.0
    else:
        widths = (8, 16, 32, 64)
        model, guide = make_label_vae("resnet9", (3, 32, 32), 512, widths), make_classifier("resnet9", 3, widths)
        weight = 300.0
    guide = frozen(guide).to(device)
    return model.to(device), lambda net, batch: vae_objective(net, batch, guide=guide, label_weight=weight,
                                                              perturb=0.1, kl="sample")["loss"]


def mask_depth_problem(device: str) -> tuple[nn.Module, Objective]:
    """The report's second network at the size of the laptop references, with its mixed loss."""
    model, loss = mask_depth_network("v2", planes=8, scaling="sigmoid"), mask_depth_loss("mse_ssim")
    return model.to(device), lambda net, batch: loss(net(batch["image"]), batch["mask"], batch["depth"])["loss"]


def source(dataset: str, split: str):
    """The pictures of a task, in memory."""
    if dataset == "standing_pets":
        return load_standing_pets(split, STANDING, PET_SIZE, pets="oxford_pets_630/sample",
                                  textures="base_images/sample")
    if "pets" in dataset:
        return load_pets(dataset, split, PET_SIZE)
    return (load_cifar10 if "cifar" in dataset else load_mnist)(dataset, split)


def batches_of(dataset: str, split: str, batch_size: int, device: str) -> Batches:
    """Ours: the pictures on the device, changed there a batch at a time."""
    if dataset == "standing_pets":
        return FieldBatches(source(dataset, split), batch_size, shuffle=True, augment=depth_augmentation("light"),
                            device=device, drop_last=True)
    recipe = "flip_crop" if "pets" in dataset else "flip" if "cifar" in dataset else "none"
    return Batches(source(dataset, split), batch_size, shuffle=True, augment=augmentation(recipe), device=device,
                   drop_last=True)


def plain_batches(dataset: str, split: str, batch_size: int, workers: int) -> DataLoader:
    """The loop people write: a Dataset, transforms per picture, a DataLoader.

    Pets and generated pictures are decoded, resized and made beforehand, which is generous; small pictures go through
    PIL, as `torchvision.datasets` has it.
    """
    pictures = source(dataset, split)
    kind = Standing if dataset == "standing_pets" else Pets if "pets" in dataset else SmallPictures
    return DataLoader(kind(pictures, flip="cifar" in dataset), batch_size, shuffle=True, num_workers=workers,
                      drop_last=True, persistent_workers=workers > 0, pin_memory=torch.cuda.is_available())


class Pictures(Dataset):
    """One picture after the other, as dicts."""

    def __init__(self, pictures, flip: bool):
        self.pictures, self.flip = pictures, flip

    def __len__(self) -> int:
        return len(self.pictures)


class Pets(Pictures):
    """Photographs and masks, flipped and cropped together."""

    change = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomResizedCrop(PET_SIZE, scale=(0.5, 1.0), antialias=False),
                         v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)])

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        image, mask = self.change(tv_tensors.Image(self.pictures.images[i]), tv_tensors.Mask(self.pictures.masks[i]))
        return {"image": image, "mask": mask.long()}


class Standing(Pictures):
    """Composites with mask and depth; brightness and contrast are jittered."""

    change = v2.ColorJitter(brightness=0.2, contrast=0.2)
    scale = v2.ToDtype(torch.float32, scale=True)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        image = self.change(self.scale(self.pictures.images[i]))
        return {"image": image, "mask": self.scale(self.pictures.masks[i]), "depth": self.pictures.depths[i].float()}


class SmallPictures(Pictures):
    """Digits and small photographs with a class each, through PIL."""

    def __init__(self, pictures, flip: bool):
        super().__init__(pictures, flip)
        channels_last = pictures.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.arrays = channels_last.squeeze(-1) if channels_last.shape[-1] == 1 else channels_last
        self.labels = pictures.labels.tolist()
        self.change = transforms.Compose([*[transforms.RandomHorizontalFlip()] * flip, transforms.ToTensor()])

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"image": self.change(Image.fromarray(self.arrays[i])), "label": self.labels[i]}
