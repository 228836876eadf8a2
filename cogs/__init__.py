"""What people can type. Each file is an extension with setup(); nothing else lives here. Knows no SQL, no image API."""
