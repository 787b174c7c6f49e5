"""The assets, one module a group or a part of one, in the order of the pipeline."""
