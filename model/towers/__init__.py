"""CLIP's two towers and the embedded stem, with hooks where detectors read."""
