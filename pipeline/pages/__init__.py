"""HTML templates and charts of self-contained pages."""
