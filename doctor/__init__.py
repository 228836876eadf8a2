"""`python bot.py doctor`: checks of the settings, the services and the machine, each with what to do."""
