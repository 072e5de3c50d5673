"""Models, losses, metrics, data, training, figures and runs of the report book."""

__version__ = "0.1.0"
