"""Where objects lie: local folders and S3 behind the same few functions."""
