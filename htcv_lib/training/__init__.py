"""The one loop that every report trains with, and the one loop that scores."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "checkpoint": ["WeightAverage", "load_weights"],
    "device": ["place", "place_sequences", "prepare", "seed_everything"],
    "distributed": ["Group", "ShardedBatches", "averaged", "process_group"],
    "evaluate": ["mean_scores", "score_batches"],
    "history": ["History", "NonFiniteLoss"],
    "loop": ["fit"],
    "phase": ["Phase", "gradient_step", "make_optimizer", "make_schedule"],
})
