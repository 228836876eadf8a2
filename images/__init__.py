"""Images made smaller, so that they fit where they are to be posted. Knows no Discord, no credits and no network."""
