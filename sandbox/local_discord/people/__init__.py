"""What a person's Discord client does, and the routes of the page for it."""
