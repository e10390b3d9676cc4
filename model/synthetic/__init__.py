"""Pictures from a seed: normal surfaces and scenes of many kinds, and defects on them with exact masks.

All is computed but parts of photographs that a recipe may ask for; these are free of rights.
Pictures are float32 (SIDE, SIDE, 3) in 0..1 until the camera makes them uint8.
"""
