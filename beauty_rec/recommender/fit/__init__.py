"""What the answer path learns from events: weights of the sources, and which order is served."""
