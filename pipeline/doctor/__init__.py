"""Everything that a run needs, looked at before it is needed: what support asks for first."""
