"""Discord's rules of messages, components, interactions, commands, mentions, entitlements and rate limits."""
