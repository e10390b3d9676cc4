"""Tiles, masks, overlays and the bytes of image files."""
