"""DeepFM reranker: features, model and training."""
