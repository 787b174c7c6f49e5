"""Metrics, baselines, protocol, report and plots."""
