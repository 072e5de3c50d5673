"""U-Nets on Oxford pets (ERA V1, Session 18): three classes a pixel, four variants of one network.

Read in this order:
    networks.py   the report's U-Net, and the library's with an ImageNet encoder
    data.py       photographs and trimaps; your own photographs
    objective.py  what is minimized and how a split is scored

The losses (cross-entropy, Dice) and the scores stand in the core: `losses/masks.py`, `metrics/segmentation.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "data": ["PET_CLASSES", "load_pets", "load_photos", "own_sheet"],
    "networks": ["ConvBlock", "UNet", "WeightsUnavailable", "build_network", "smp_unet"],
    "objective": ["evaluate_segmentation", "predict_segmentation", "score_maps", "segmentation_objective"],
})
