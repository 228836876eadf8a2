"""The log: secrets are masked, repeated lines are left out."""
