"""Charts of scores and trainings, as PNG."""
