"""The page on which reviewers look at what was flagged and decide: served to this machine alone."""
