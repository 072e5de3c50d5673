"""Manifests, files, sets, batches and random changes; every report's own data stand in its folder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "augment": ["ColorJitter", "Compose", "RandomFlip", "RandomResizedCrop", "augmentation"],
    "batches": ["Batches", "DataSet", "ImageSet", "SegmentationSet", "TimedBatches"],
    "files": [
        "fetch_data", "list_data", "locate", "missing", "read_members", "split_members", "unpack", "verify",
        "verify_data",
    ],
    "manifest": ["DataError", "Manifest", "cache_folder", "data_folder", "load_manifest", "manifest_names"],
    "textures": ["Textures", "identity_split", "load_textures"],
})
