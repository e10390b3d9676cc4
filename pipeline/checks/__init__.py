"""What this machine, the storage and the configuration allow, told before a run needs it."""
