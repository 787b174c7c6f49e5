"""What operators are shown: the state of a shop, and of its experiment."""
