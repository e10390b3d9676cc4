"""What is written down: parts and their commit, leases, the record of a run, the audit log."""
