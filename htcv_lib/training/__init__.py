"""The one loop that every report trains with, and the one loop that scores."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "checkpoint": ["WeightAverage", "load_weights"],
    "device": ["place", "place_sequences", "prepare", "seed_everything"],
    "distributed": ["Group", "ShardedBatches", "averaged", "process_group"],
    "evaluate": ["mean_scores", "score_batches"],
    "history": ["History", "NonFiniteLoss", "log_to_tensorboard"],
    "loop": ["fit"],
    "optim": [
        "cosine_schedule", "linear_cycle", "make_optimizer", "make_schedule", "one_cycle", "plateau", "then_tenth",
    ],
    "phase": ["Phase", "gradient_step"],
})
