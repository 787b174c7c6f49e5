"""WHO / WHEN / WHY of a review: schema and extractors."""
