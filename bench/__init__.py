"""Figures under load: the real bot process, 5,000 images in flight, and 200 commands in one second. Asserts nothing."""
