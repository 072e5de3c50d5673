"""A GAN that renders Phong-shaded spheres from ten scene parameters, and coordinate networks that do it better.

Read in this order:
    phong.py        the exact renderer, in the camera's frame
    scenes.py       which scenes are drawn, in batches rendered while training
    networks.py     models 0 to 3 of the report: generators and discriminators
    game.py         regression, the conditional GAN, its rules of balance
    coordinates.py  one pixel at a time
    losses.py       masked L1, VGG
    scores.py       scores of pictures and of sets;  regions.py  of the object alone, and as the report had them
    baselines.py    black, mean, nearest scene
    figures.py      the balance of the two players
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "baselines": ["AllBlack", "MeanImage", "NearestScene"],
    "coordinates": [
        "CoordinateNet", "PixelBatches", "PixelFeatures", "PixelOutput", "build_network", "predict_image",
        "sample_pixels",
    ],
    "figures": ["balance_curves"],
    "game": [
        "Balance", "balance_frame", "balance_summary", "coordinate_objective", "curve_change", "curve_drift",
        "curve_swing", "discriminator_accuracy", "discriminator_objective", "generator_objective", "make_balance",
        "regression_objective", "repeat_after", "repeat_during",
    ],
    "losses": ["masked_l1_loss", "vgg_loss"],
    "networks": ["SphereDiscriminator", "SphereGenerator", "init_dcgan", "make_discriminator", "make_generator"],
    "phong": [
        "Projected", "SCENE_FIELDS", "Scene", "coverage", "lit_fraction", "projected", "render", "render_plain",
        "silhouette", "split_scene",
    ],
    "regions": [
        "box_mask", "box_mse", "box_ssim", "brightest_spot", "flat_ssim", "highlight_error",
        "picture_silhouette", "silhouette_iou", "ssim_reported", "stretched", "visible_box",
    ],
    "scenes": [
        "CORNERS", "SAMPLERS", "SceneBatches", "corner_of", "corner_scenes", "encode_scene",
        "looks_at_object", "outside_corners", "sample_scenes", "scene_batch", "sweep_scenes", "test_scenes",
    ],
    "scores": [
        "Sheet", "contact_sheet", "coverage_frame", "evaluate_rendering", "score_pictures", "score_rendering",
        "summarize_scores",
    ],
})
