"""The recommender behind the HTTP API, and its web page."""
