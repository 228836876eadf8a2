"""The only place that knows which database runs. Knows no Discord, no image API and no rules about credits."""
