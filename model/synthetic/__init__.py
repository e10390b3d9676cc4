"""Pictures from a seed: normal surfaces and scenes of many kinds, and defects on them with exact masks.

Everything is computed, nothing is read, so that what is trained on it carries no licence but ours.
Pictures are float32 (SIDE, SIDE, 3) in 0..1 until the camera makes them uint8.
"""
