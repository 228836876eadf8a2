"""What a person set for themselves, and that they left. Knows no images, no credits and no Discord library."""
