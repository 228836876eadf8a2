"""What people see: sentences, cards, buttons, and their way to Discord. Knows no SQL and no image API client."""
