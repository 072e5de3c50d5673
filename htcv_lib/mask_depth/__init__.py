"""Mask and depth of an object pasted into a scene (EVA4, Session 15): a study of losses.

Read in this order:
    networks.py   the report's two networks, their followers, all by name;  unet.py  done well
    output.py     what networks return
    losses.py     the six losses of the report, and those done well
    objective.py  what is minimized and how a split is scored
    scores.py     IoU, boundary F, depth errors, alignment
    rooms/        pets that stand in rooms: geometry, colours, compositing, pets
    triplets.py   the report's folders, and 31 real triplets;  augment.py, datasheet.py
    baselines.py  rows, means, traces of pasting;  receptive.py  what one output pixel can see
    lr_range.py   the learning-rate range test
    figures.py    composite, mask and depth as pictures
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "augment": ["depth_augmentation"],
    "baselines": ["EmptyMask", "FullMask", "MeanMaskDepth", "PasteDetector", "PasteMask", "RowDepth"],
    "datasheet": ["AREAS", "compare_sets", "outline_contrast", "row_rise", "set_statistics"],
    "figures": ["MASK_DEPTH_COLUMNS", "depth_colours", "mask_depth_grid", "mask_depth_tiles", "own_sheet"],
    "losses": [
        "LOSSES", "depth_bin_loss", "focal_depth_loss", "gradient_matching_loss", "l1_loss",
        "mask_depth_loss", "mse_loss", "quantise_depth", "silog_gradient_loss", "silog_loss",
    ],
    "lr_range": ["SuggestedLR", "lr_range_test", "suggested_lr"],
    "networks": [
        "AtrousNet", "ResNetMaskDepth", "SeparableNet", "build_network", "mask_depth_network", "network_input",
    ],
    "objective": [
        "Predicted", "evaluate_mask_depth", "mask_depth_objective", "predict_mask_depth", "score_pictures_of",
        "score_pseudo_truth", "summarize_mask_depth",
    ],
    "output": ["MaskDepth", "MaskDepthNet", "scale_outputs"],
    "receptive": ["chain_receptive_field", "receptive_field"],
    "rooms.geometry": ["DEPTH_RANGE"],
    "rooms.pets": ["Cutouts", "PetPictures", "PetScenes", "StandingPets", "load_cutouts", "load_standing_pets"],
    "scores": [
        "abs_rel", "aligned", "boundary_f_score", "delta_accuracy", "depth_rmse", "scale_and_shift",
        "score_mask_depth",
    ],
    "triplets": ["TripletSet", "find_triplets", "load_depthmask_sample", "load_triplets", "split_triplet_names"],
    "unet": ["MaskDepthUNet", "icnr_"],
})
