"""Losses: pure functions of logits and target; lower is better."""
from htcv_lib._lazy import attach

MODULES = {
    "cross_entropy": ("cross_entropy_loss",),
    "dice": ("ce_dice_loss", "dice_loss", "log_dice_loss"),
    "discrete": ("discretized_logistic_log_likelihood",),
    "gaussian": ("gaussian_log_likelihood", "kl_divergence", "kl_sample"),
    "masked_l1": ("masked_l1_loss",),
    "vgg": ("require_vgg", "vgg_loss"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
