"""The formats of tomograms: what each file says about itself, and the way to its voxels."""
