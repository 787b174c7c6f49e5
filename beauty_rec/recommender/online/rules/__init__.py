"""What the shop says of answers: pin, boost, bury, exclude, cap."""
