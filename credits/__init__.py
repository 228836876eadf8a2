"""The ledger: who may spend how much. Knows no images and no Discord."""
