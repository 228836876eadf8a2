"""Brings every generation to its end: claims, submits, polls, publishes. Knows no Discord library."""
