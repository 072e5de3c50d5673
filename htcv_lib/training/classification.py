"""Classification: the objective, the scores of a split, and predicted classes."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.training.modes import in_mode


def classification_objective(model: nn.Module, batch: dict[str, Tensor],
                             label_smoothing: float = 0.0) -> dict[str, Tensor]:
    """Cross-entropy of one batch.

    Args:
        model: Image (B, C, H, W) in [0, 1] to logits (B, K).
        batch: image, and label (B,) int64.
        label_smoothing: Share of the target spread evenly over all classes.
    """
    logits = model(batch["image"]).float()  # bfloat16 ends here
    return {"loss": F.cross_entropy(logits, batch["label"], label_smoothing=label_smoothing)}


@torch.no_grad()
def evaluate_classifier(model: nn.Module, batches: Iterable[dict[str, Tensor]]) -> dict[str, float]:
    """Accuracy in [0, 1] and mean cross-entropy of a split.

    Args:
        batches: Dicts with image (B, C, H, W) in [0, 1] and label (B,) int64.
    """
    sums, images = 0, 0
    with in_mode(False, model):
        for batch in batches:
            logits, label = model(batch["image"]).float(), batch["label"]
            hits = (logits.argmax(dim=1) == label).sum()
            loss = F.cross_entropy(logits, label, reduction="sum")
            sums = sums + torch.stack([hits.double(), loss.double()])
            images += len(label)
    if images == 0:
        raise ValueError("no batches to evaluate")
    accuracy, loss = (sums / images).tolist()
    return {"accuracy": accuracy, "loss": loss}


@torch.no_grad()
def predict_labels(model: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Most probable class of every image: (N,) int64 on the CPU.

    Args:
        images: (N, C, H, W), uint8, or float in [0, 1]; any device, the model's parameters say where it computes.
    """
    weight = next(model.parameters(), images)
    labels = []
    with in_mode(False, model):
        for part in images.split(batch_size):
            part = part.to(weight.device)
            part = part.float() / 255 if part.dtype == torch.uint8 else part
            labels.append(model(part).argmax(dim=1))
    return torch.cat(labels).cpu()
