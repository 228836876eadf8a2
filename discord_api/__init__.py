"""What is known of Discord's API and of discord.py: errors, addresses, login, gateway, command list. Knows no card."""
