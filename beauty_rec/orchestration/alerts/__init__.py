"""Alerts: what is wrong, whom it is said to, and the sensor that says each fault once."""
