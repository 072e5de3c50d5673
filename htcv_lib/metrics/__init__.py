"""Metrics: pure functions of predictions and truth."""
from htcv_lib._lazy import attach

MODULES = {
    "alignment": ("aligned", "scale_and_shift"),
    "as_reported": ("flat_ssim", "mean_l1_reported", "ssim_reported", "stretched"),
    "confusion": (
        "confusion_matrix", "dice_per_class", "dice_score", "iou_per_class", "mean_iou", "per_image_iou",
        "pixel_accuracy",
    ),
    "boundary": ("boundary_confusion", "boundary_iou", "boundary_labels"),
    "edges": ("edge_map", "hausdorff", "hausdorff_reported"),
    "flip": ("flip_error", "flip_map"),
    "object_region": (
        "box_mask", "box_mse", "box_psnr", "box_ssim", "brightest_spot", "by_coverage", "highlight_error",
        "picture_silhouette", "silhouette_iou", "ssim_map",
    ),
    "perceptual": ("BackboneUnavailable", "backbone_weights", "lpips_distance"),
    "ranking": ("order_statistics",),
    "reconstruction": ("bits_per_dim", "gradient_energy", "image_ssim", "psnr_of"),
    "relabelling": ("other_labels", "style_correlation", "style_descriptors", "style_kept", "swap_success"),
    "mask_box": ("visible_box",),
    "spectrum": ("checkerboard_energy",),
    "binary_mask": ("mask_dice", "mask_iou", "mask_rmse"),
    "boundary_f": ("boundary_f_score",),
    "depth_error": ("abs_rel", "delta_accuracy", "depth_rmse"),
    "mask_depth_scores": ("score_mask_depth",),
    "decomposition_as_reported": ("score_as_reported",),
    "decomposition_scores": ("implied_irradiance", "score_decomposition", "score_original"),
    "flatness": ("constancy",),
    "layer_effects": ("predicted_effects", "true_effects"),
    "layer_scores": ("irradiance_scores", "layer_correlation", "layer_mae"),
    "leakage": ("Leakage", "leakage_matrix"),
    "precision_recall": ("average_precision",),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
