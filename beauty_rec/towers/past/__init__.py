"""The items as the folds of train knew them."""
