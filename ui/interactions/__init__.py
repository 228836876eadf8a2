"""Handles what comes in from Discord: commands, buttons, forms, and the answers to them."""
