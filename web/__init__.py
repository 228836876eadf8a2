"""The optional HTTP server: callbacks of the image API, and health for monitoring."""
