"""What is written down: Arrow tables, statuses and reasons, and the configuration of a run."""
