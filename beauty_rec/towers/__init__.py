"""Item tower and user tower: modules, losses and their training."""
