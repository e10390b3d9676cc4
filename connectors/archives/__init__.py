"""Files in zip and tar archives, one by one and within limits."""
