"""How good detectors are on labelled data: figures, tables and a page."""
