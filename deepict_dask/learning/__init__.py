"""Learning: networks of one's own, from masks and patches to folds and searches."""
