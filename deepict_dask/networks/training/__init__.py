"""Training of networks: patches from stored tomograms, augmentation, losses, the loop."""
