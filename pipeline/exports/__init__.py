"""Results in the formats of other tools: one file a format, chosen rows in, files in one folder out."""
