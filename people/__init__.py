"""People: their preferences, and who left. Knows no images, no credits and no Discord library."""
