"""Many tomograms: what is to be done with each, several in flight, and what is known of them while they run."""
