"""What a published set holds, and how it is read."""
