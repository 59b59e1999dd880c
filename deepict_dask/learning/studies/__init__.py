"""Many trainings over the same tomograms: the folds of a cross-validation, the trials of a search."""
