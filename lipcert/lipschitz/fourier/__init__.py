"""LipSDP with one multiplier per channel: small blocks, frequency by frequency."""
