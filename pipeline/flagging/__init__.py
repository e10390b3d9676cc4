"""Which slices are flagged for review, and what reviewers decided."""
