"""Archive profiles: which objects are of one kind, what is kept of them, and how others are ranked by it."""
