"""Attacks, each run for real: one file a kind, as docs/security.md lists them."""
