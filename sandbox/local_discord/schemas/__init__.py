"""The shapes of request bodies, as tables of checks."""
