"""Where the weights lie that come with the package. Knows no torch."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "shipped"
STEM, HEAD = FOLDER / "stem.safetensors", FOLDER / "embedded.safetensors"
