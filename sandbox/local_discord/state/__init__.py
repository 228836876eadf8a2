"""What the local Discord holds: people, servers, channels, messages, permissions, and the events of their changes."""
