"""The ``full`` profile without the hub: tiny random models of the true kinds."""
