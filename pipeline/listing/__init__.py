"""What a run has to account for: the frozen listing, and what of it is still to do."""
