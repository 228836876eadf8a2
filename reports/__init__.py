"""Reports of images: who reported which image and why, who is told, and what was decided. Knows no Discord library."""
