"""The networks and their checkpoints; the only place with torch."""
