"""Losses that two or more reports use: pure functions of prediction and target; lower is better."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "masks": [
        "ce_dice_loss", "cross_entropy_loss", "dice_loss", "log_dice_loss", "mask_bce_dice_loss", "mask_bce_loss",
        "mask_dice_loss",
    ],
    "similarity": ["ms_ssim_loss", "ssim_loss"],
})
