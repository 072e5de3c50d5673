"""Manifests, data sets, augmentation and batches."""
from htcv_lib._lazy import attach

MODULES = {
    "archive": ("read_members", "split_members", "unpack"),
    "augment": ("ColorJitter", "Compose", "RandomFlip", "RandomResizedCrop", "augmentation"),
    "batches": ("Batches",),
    "cifar": ("load_cifar10",),
    "digits": ("load_mnist",),
    "fetch": ("locate", "missing", "verify"),
    "highlight": ("highlight_position",),
    "manifest": ("DataError", "Manifest", "load_manifest", "manifest_names"),
    "pets": ("PET_CLASSES", "load_pets"),
    "phong": ("coverage", "lit_fraction", "render", "render_plain", "silhouette"),
    "photos": ("load_photos",),
    "pixels": ("PixelBatches", "PixelFeatures", "sample_pixels"),
    "places": ("cache_folder", "data_folder"),
    "report": ("fetch_data", "list_data", "verify_data"),
    "scene_batches": ("SceneBatches", "scene_batch"),
    "scene_view": ("SCENE_FIELDS", "Projected", "Scene", "projected", "split_scene"),
    "scenes": ("CORNERS", "SAMPLERS", "corner_of", "corner_scenes", "encode_scene", "in_corner", "looks_at_object",
               "outside_corners", "sample_scenes", "test_scenes"),
    "sets": ("ImageSet", "SegmentationSet"),
    "sweeps": ("sweep_scenes",),
    "shifts": ("RandomShift", "RandomTurn", "small_augmentation"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
