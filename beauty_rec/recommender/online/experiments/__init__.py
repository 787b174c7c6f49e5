"""Variants of the answers, side by side: who gets which, and what chance adds."""
