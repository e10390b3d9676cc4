"""A run told to a person: figures, text and page."""
