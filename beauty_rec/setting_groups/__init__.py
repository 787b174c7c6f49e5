"""The groups of settings, one file for each part of the pipeline, each with its bounds."""
