"""`beauty-rec experiment` and `rollback`."""
