"""beauty_rec: an LLM-driven hybrid recommender for products with reviews."""
