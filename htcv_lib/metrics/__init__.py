"""Metrics that two or more reports use: pure functions of predictions and truth."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "edges": ["edge_map", "hausdorff", "hausdorff_reported"],
    "flip": ["flip_error", "flip_map"],
    "pictures": [
        "bits_per_dim", "checkerboard_energy", "gradient_energy", "image_ssim", "lpips_distance", "psnr_of",
    ],
    "segmentation": [
        "boundary_confusion", "boundary_iou", "boundary_labels", "confusion_matrix", "dice_per_class", "dice_score",
        "iou_per_class", "mask_dice", "mask_iou", "mask_rmse", "mean_iou", "order_statistics", "per_image_iou",
        "pixel_accuracy",
    ],
})
