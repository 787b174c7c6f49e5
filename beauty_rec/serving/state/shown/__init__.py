"""Impressions: what answers showed, and which events they are owed."""
