"""Decomposer: views of a painting split into clean picture, light, shadow, occlusion and mask (three documents).

Read in this order:
    layers.py       what a network returns, and how the layers make the views again
    swin.py         the video encoder and its decoders;  heads.py  the reports' networks by name
    losses.py       the reports' losses;  objective.py  each stage's;  stages.py  one after another
    labels.py       pseudo-labels;  collapse.py  did it collapse, and when
    set_network.py  done well: the views are a set;  set_losses.py  its losses
    diffusion.py    the clean picture out of noise
    paintings/      the physical generator: solids, lights, view;  matched.py  the reports' formula
    sequences.py    sets of sequences;  sidar.py  the public data;  datasheet.py
    scores.py       every layer's scores;  leakage.py  what ended up where
    baselines.py    mean, median, robust PCA
    figures.py      sheets, collapse curves, the drawing of the network
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "baselines": ["MeanOfViews", "MedianOfViews", "RobustPCAOfViews", "ViewLayers", "median_of_views"],
    "collapse": [
        "CollapseRule", "CollapseWatch", "Verdict", "collapse_verdict", "copied", "describe_training",
        "watch_decomposition",
    ],
    "datasheet": ["light_level", "noise_level", "sequence_statistics"],
    "diffusion": [
        "DiffusersMissing", "LatentDiffusion", "diffusion_objective", "original_sampler", "sample_originals",
        "watch_diffusion",
    ],
    "figures": [
        "DECOMPOSITION_COLUMNS", "collapse_panels", "decomposition_sheet", "decomposition_tiles",
        "draw_sequence_network", "label_sheet", "label_tiles", "leakage_heatmap", "leakage_table", "own_sheet",
    ],
    "heads": ["Decomposer", "STAGES", "build_network", "decomposer_network", "freeze_for", "trace_sequence"],
    "labels": [
        "LightingLabels", "lighting_labels", "occlusion_labels", "residual_labels", "score_found_masks",
        "score_labels", "with_pseudo_labels",
    ],
    "layers": ["Decomposition", "SetDecomposition"],
    "leakage": ["Leakage", "leakage_matrix", "predicted_effects", "true_effects"],
    "losses": [
        "balanced_bce", "base_loss", "charbonnier", "distance", "frames_loss", "joint_loss", "mask_decay",
        "positive_weight", "regularised_loss", "rgb_loss", "weight_penalty",
    ],
    "objective": [
        "decomposition_objective", "frames_objective", "joint_objective", "lighting_objective", "mask_objective",
        "matched_objective", "original_objective", "regularised_objective", "rgb_objective", "set_objective",
        "stage_objective",
    ],
    "paintings.lit": ["LitSequence", "LitSequences"],
    "paintings.matched": ["MatchedSequence", "MatchedSequences"],
    "scores": [
        "average_precision", "constancy", "constancy_of", "evaluate_decomposition", "evaluate_objective",
        "evaluate_original", "implied_irradiance", "irradiance_scores", "layer_correlation", "layer_mae",
        "leakage_of", "predict_decomposition", "score_decomposition", "score_original",
        "score_sequences",
    ],
    "sequences": ["SequenceSet", "load_rendered", "load_sequences", "rendered_info"],
    "set_losses": [
        "LABELLED", "MATCHED", "UNLABELLED", "exclusion", "labelled_loss", "mask_prior", "matched_loss",
        "smoothness", "sparsity", "unlabelled_loss",
    ],
    "set_network": ["MatchedSetDecomposer", "SetDecomposer", "SetUNet"],
    "sidar": ["SidarFolder", "load_sidar_folder", "load_sidar_sample"],
    "stages": [
        "Stage", "describe_masks", "evaluate_views", "hand_on", "scores_of_stage", "shadow_likeness", "train_stage",
    ],
    "swin": [
        "FramesNet", "PatchSplitting", "ReverseSwinDecoder", "ReverseSwinNet", "SequenceDecoder",
        "VideoSwinEncoder",
    ],
})
