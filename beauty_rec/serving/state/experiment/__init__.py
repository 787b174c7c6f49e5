"""An experiment while a server runs: its sets, its figures, its shadow, and how it ends."""
