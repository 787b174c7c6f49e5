"""Feeds: lists that a page shows without a question, each of one kind of evidence."""
