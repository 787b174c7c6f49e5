"""The assets, one module a group, in the order of the pipeline."""
