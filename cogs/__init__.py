"""The slash commands and the message menu, one file a feature. Must not know SQL or the image API."""
