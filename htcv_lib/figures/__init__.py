"""Figures: arrays and frames in, a matplotlib Figure out; nothing here shows or saves."""
from htcv_lib._lazy import attach

MODULES = {
    "style": ("CLASS_COLOURS", "SERIES", "to_png", "to_svg"),
    "curves": ("plot_curves", "plot_history", "smoothed"),
    "tiles": ("class_map", "error_map", "segmentation_tiles", "show_tiles"),
    "architecture": ("draw_architecture",),
    "sequence_diagram": ("draw_sequence_network",),
    "vae_diagram": ("draw_vae",),
    "seeds": ("paired_dots", "seed_dots"),
    "changes": ("waterfall",),
    "grids": ("picture_grid", "pictures"),
    "mask_depth_grids": ("MASK_DEPTH_COLUMNS", "depth_colours", "mask_depth_grid", "mask_depth_tiles"),
    "effects": ("effect_table", "main_effects"),
    "latents": ("latent_map",),
    "trade": ("sweep", "trade_off"),
    "balance": ("balance_curves",),
    "lr_range": ("lr_range_figure",),
    "decomposition_sheets": (
        "DECOMPOSITION_COLUMNS", "decomposition_sheet", "decomposition_tiles", "label_sheet", "label_tiles",
    ),
    "leakage_figure": ("leakage_heatmap", "leakage_table"),
    "collapse_curves": ("collapse_panels",),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
