"""Sends cards, images and pings to Discord, edits them, and falls back to another place where that is refused."""
