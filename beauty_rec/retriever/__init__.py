"""Text encoder, training pairs and fine-tuning."""
