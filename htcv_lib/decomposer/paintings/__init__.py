"""Generated sequences: a painting under coloured lamps behind solids, or the reports' formula exactly."""
