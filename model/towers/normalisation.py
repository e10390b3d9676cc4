"""The normalisation of a tower's input, and CLIP's own. Knows no torch."""

Colour = tuple[float, float, float]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
