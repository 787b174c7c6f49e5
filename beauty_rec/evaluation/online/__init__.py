"""What people did with what they were shown: rates by version, order, source and position."""
