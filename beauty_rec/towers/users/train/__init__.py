"""Training of the user tower."""
