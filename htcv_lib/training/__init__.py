"""One loop for every family, and one short objective file per family."""
from htcv_lib._lazy import attach

MODULES = {
    "adaptive": ("Balance", "after", "balance_frame", "balance_summary", "during", "make_balance"),
    "average": ("WeightAverage",),
    "classification": ("classification_objective", "evaluate_classifier", "predict_labels"),
    "environment": ("place", "prepare", "seed_everything"),
    "history": ("History", "NonFiniteLoss"),
    "loop": ("fit",),
    "phase": ("Phase", "gradient_step"),
    "recipes": ("make_optimizer", "make_schedule"),
    "rendering": (
        "coordinate_objective", "discriminator_accuracy", "discriminator_objective", "generator_objective",
        "regression_objective",
    ),
    "rendering_scores": ("evaluate_rendering", "score_pictures", "score_rendering", "summarize_scores"),
    "rendering_sheets": ("Sheet", "contact_sheet", "coverage_frame"),
    "schedules": ("cosine_schedule", "one_cycle", "plateau"),
    "steadiness": ("change", "drift", "swing"),
    "segmentation": ("evaluate_segmentation", "predict_segmentation", "score_maps", "segmentation_objective"),
    "cycles": ("linear_cycle",),
    "vae_walks": ("interpolation", "relabel_grid", "traversal"),
    "vae": ("evaluate_pictures", "evaluate_vae", "perturb_labels", "vae_objective"),
    "weights": ("load_weights",),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
