"""What scores are worth beside an archive's past: p-values, worklists, cases, drift."""
