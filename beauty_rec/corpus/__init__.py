"""Reviews, items and profiles: schema, reading, download, time split, synthetic sample."""
