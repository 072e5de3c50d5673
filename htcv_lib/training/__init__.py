"""One loop for every family, and one short objective file per family."""
from htcv_lib._lazy import attach

MODULES = {
    "average": ("WeightAverage",),
    "environment": ("place", "prepare", "seed_everything"),
    "history": ("History", "NonFiniteLoss"),
    "loop": ("fit",),
    "phase": ("Phase", "gradient_step"),
    "recipes": ("make_optimizer", "make_schedule"),
    "schedules": ("cosine_schedule", "one_cycle", "plateau"),
    "segmentation": ("evaluate_segmentation", "predict_segmentation", "score_maps", "segmentation_objective"),
    "weights": ("load_weights",),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
