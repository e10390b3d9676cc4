"""A bundle on disk: its record and its sealed files."""
