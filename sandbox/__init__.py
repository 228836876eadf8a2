"""The sandbox: a local Discord, a local image API and a page, to try the bot with no account, no key and no cost.

Development equipment. Its stand-ins import nothing of the product: both sides would share one misunderstanding.
"""
