"""Mathematics of one block: numpy in, numpy out, nothing else known."""
