"""Pictures (PNG, JPEG, TIFF ...) into slices."""
