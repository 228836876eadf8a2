"""Charts of what is used: the report that they show, and how it is drawn."""
