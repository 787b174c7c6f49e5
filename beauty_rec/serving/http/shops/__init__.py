"""The data folders that one server answers from."""
