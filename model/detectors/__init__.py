"""The detectors, one file each, their contract and their registry; build and load them here."""
