"""The worker: claims generations, submits, polls and publishes. Knows no Discord library."""
