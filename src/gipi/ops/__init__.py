"""Pure functions on images and mergeable counts."""
