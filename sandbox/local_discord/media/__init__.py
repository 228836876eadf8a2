"""Files: what an upload is, and the signed addresses that serve it."""
