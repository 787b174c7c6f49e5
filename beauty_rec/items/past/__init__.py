"""What was known of items at a moment of train: their attributes, and their texts."""
