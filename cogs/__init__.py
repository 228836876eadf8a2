"""What people can type. Each file is an extension with setup(); nothing else lives here. Knows no SQL and no image API."""
