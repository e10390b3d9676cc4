"""The words of the three prompt families, and CLIP's tokens for them."""

WORDS: dict[str, tuple[str, str]] = {
    "object": ("object", "damaged object"),
    "state": (
        "perfectly pristine flawless perfect intact consistent uniform normal stable standard well ideal",
        "severely distorted flawed warped broken cracked uneven anomalous irregular aberrant unusual "
        "deformed",
    ),
    "defect": (
        "perfectly good normal intact clean healthy flawless perfect ideal standard",
        "crack scratch dent stain discoloration bubble corrosion flaking deformation hole loose scar foam",
    ),
}
"""Family to (normal, anomalous) words: object-agnostic, contrastive state, anomaly-referenced."""
