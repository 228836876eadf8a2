"""The REST API: its routes, and what is checked before a route is called."""
