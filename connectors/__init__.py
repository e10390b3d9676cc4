"""Bytes in, slices out: storage, what a file is, and decoding it. Knows no torch."""
