"""The processes that share one database: a row and a heartbeat each."""
