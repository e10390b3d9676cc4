"""Bytes in: storage, what a file is, and decoding it into slices. Knows no torch and no Ray."""
