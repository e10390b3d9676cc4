"""NIfTI volumes into slices."""
