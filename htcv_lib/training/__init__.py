"""One loop for every family, and one short objective file per family."""
from htcv_lib._lazy import attach

MODULES = {
    "adaptive": ("Balance", "after", "balance_frame", "balance_summary", "during", "make_balance"),
    "average": ("WeightAverage",),
    "classification": ("classification_objective", "evaluate_classifier", "predict_labels"),
    "environment": ("place", "prepare", "seed_everything"),
    "history": ("History", "NonFiniteLoss"),
    "loop": ("fit",),
    "mask_depth": (
        "Predicted", "evaluate_mask_depth", "mask_depth_objective", "predict_mask_depth", "score_pictures_of",
        "score_pseudo_truth", "summarize_mask_depth",
    ),
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
    "two_rates": ("then_tenth",),
    "waiting": ("TimedBatches",),
    "vae_walks": ("interpolation", "relabel_grid", "traversal"),
    "vae": ("evaluate_pictures", "evaluate_vae", "perturb_labels", "vae_objective"),
    "weights": ("load_weights",),
    "lr_range": ("SuggestedLR", "lr_range_test", "suggested_lr"),
    "tensorboard": ("log_to_tensorboard",),
    "pseudo_labels": ("LightingLabels", "lighting_labels", "occlusion_labels", "residual_labels"),
    "decomposition": (
        "decomposition_objective", "frames_objective", "joint_objective", "lighting_objective", "mask_objective",
        "original_objective", "regularised_objective", "rgb_objective", "set_objective", "stage_objective",
    ),
    "decomposition_scores": (
        "constancy_of", "evaluate_decomposition", "evaluate_objective", "evaluate_original", "leakage_of",
        "mean_scores", "predict_decomposition", "score_sequences",
    ),
    "collapse": ("CollapseRule", "CollapseWatch", "Verdict", "collapse_verdict", "copied"),
    "stages": ("Stage", "hand_on", "train_stage", "train_stages"),
    "distributed": ("Group", "averaged", "process_group"),
    "decomposition_watch": ("describe_training", "watch_decomposition"),
    "label_scores": ("score_found_masks", "score_labels"),
    "label_sets": ("with_pseudo_labels",),
    "layer_labels": ("matched_objective",),
    "placement": ("place_sequences",),
    "stage_scores": ("describe_masks", "evaluate_views", "scores_of_stage", "shadow_likeness"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
