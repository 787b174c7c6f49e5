"""How texts are encoded in bulk: batches, precisions, devices."""
