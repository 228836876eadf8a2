"""The database, SQLite or PostgreSQL: only here matters which of them runs. Imports no other room."""
