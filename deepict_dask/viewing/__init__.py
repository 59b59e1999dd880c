"""Looking at a tomogram with what was found in it, in napari or Neuroglancer."""
