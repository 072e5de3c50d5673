"""Losses: pure functions of logits and target; lower is better."""
from htcv_lib._lazy import attach

MODULES = {
    "cross_entropy": ("cross_entropy_loss",),
    "dice": ("ce_dice_loss", "dice_loss", "log_dice_loss"),
    "discrete": ("discretized_logistic_log_likelihood",),
    "gaussian": ("gaussian_log_likelihood", "kl_divergence", "kl_sample"),
    "masked_l1": ("masked_l1_loss",),
    "vgg": ("require_vgg", "vgg_loss"),
    "pixelwise": ("l1_loss", "mse_loss"),
    "structural": ("ms_ssim_loss", "ssim_loss"),
    "soft_mask": ("mask_bce_dice_loss", "mask_bce_loss", "mask_dice_loss"),
    "depth_bins": ("depth_bin_loss", "quantise_depth"),
    "focal": ("focal_bin_loss", "focal_depth_loss"),
    "log_depth": ("gradient_matching_loss", "silog_gradient_loss", "silog_loss"),
    "mask_depth": ("LOSSES", "mask_depth_loss"),
    "distances": ("charbonnier", "distance", "weighted_mae"),
    "mask_terms": ("balanced_bce", "mask_decay", "positive_weight", "weight_penalty"),
    "decomposition": ("base_loss", "frames_loss", "joint_loss", "regularised_loss", "rgb_loss"),
    "layer_priors": ("exclusion", "mask_prior", "smoothness", "sparsity"),
    "set_decomposition": ("LABELLED", "UNLABELLED", "labelled_loss", "unlabelled_loss"),
    "matched_layers": ("MATCHED", "matched_loss"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
