"""What the owner and server admins set, and how much is used of it. Knows no Discord and no image API."""
