"""The gateway: its websockets, sessions and events."""
