"""Manifests, data sets, augmentation and batches."""
from htcv_lib._lazy import attach

MODULES = {
    "archive": ("read_members", "split_members", "unpack"),
    "augment": ("ColorJitter", "Compose", "RandomFlip", "RandomResizedCrop", "augmentation"),
    "batches": ("Batches",),
    "cifar": ("load_cifar10",),
    "digits": ("load_mnist",),
    "fetch": ("locate", "missing", "verify"),
    "manifest": ("DataError", "Manifest", "load_manifest", "manifest_names"),
    "pets": ("PET_CLASSES", "load_pets"),
    "photos": ("load_photos",),
    "places": ("cache_folder", "data_folder"),
    "report": ("fetch_data", "list_data", "verify_data"),
    "sets": ("ImageSet", "SegmentationSet"),
    "shifts": ("RandomShift", "RandomTurn", "small_augmentation"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
