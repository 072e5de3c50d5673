"""Figures: arrays and frames in, a matplotlib Figure out; nothing here shows, saves or knows torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "comparisons": ["effect_table", "main_effects", "paired_dots", "seed_dots", "waterfall"],
    "curves": ["loss_panels", "lr_range_figure", "plot_curves", "plot_history", "smoothed"],
    "networks": ["draw_architecture"],
    "grids": ["class_map", "error_map", "picture_grid", "pictures", "segmentation_tiles", "show_tiles"],
    "style": ["CLASS_COLOURS", "SERIES"],
    "trade": ["sweep", "trade_off"],
})
