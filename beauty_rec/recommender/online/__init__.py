"""A served set in memory, and what it answers to shoppers."""
