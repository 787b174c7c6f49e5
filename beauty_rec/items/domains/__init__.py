"""Domain files (TOML), found as package data."""
