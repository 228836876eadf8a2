"""`python bot.py doctor --live`: try on the real Discord, and on the image API if asked to, what the bot relies on."""
