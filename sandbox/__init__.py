"""The sandbox: a local Discord, a local image API and a page, to try the bot with no account, no key and no cost.

It is for development. It imports nothing of the product, so that it cannot share the product's mistakes.
"""
