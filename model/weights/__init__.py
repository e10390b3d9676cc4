"""Weights from the files in which they are published."""
