"""Figures of the chapters: layers of a sequence, collapses of seeds, the drawing of a network."""
