"""Generations: their use-cases, rows and worker. Knows no Discord library."""
