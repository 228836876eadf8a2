"""Builds the services of one process from its settings and what it has opened. Must not know the cogs."""
