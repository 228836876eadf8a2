"""Build Discord components from rows. Pure: no network, no clock."""
