"""What keeps private data inside: ids, redaction, the private folder, switches of libraries."""
