"""Published training recipes.

Sources: method, section 7, for S2SWCLIP; AnomalyCLIP (Zhou et al., ICLR 2024), APRIL-GAN (Chen et al., VAND
workshop 2023) and AdaptCLIP (Gao et al., 2025) for the other detectors of the family.
"""

from dataclasses import dataclass, replace

from s2sw.model.errors import BundleError

BETAS = (0.5, 0.999)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a detector is trained on the data set that the recipe is named for.

    image_size: side S in training; screen_size: that of the bundle, pixels: S2SWCLIP's wavelets need an odd
    grid, which training does without. wavelet: weight of the wavelet map in the bundle. pair, pixel_object:
    weights of S2SWCLIP's pair losses and of the pixel loss of its object family. learning_rate: Adam's.
    """

    epochs: int
    batch: int
    image_size: int
    screen_size: int
    contexts: int = 0
    pair: float = 0.0
    pixel_object: float = 1.0
    wavelet: float = 0.0
    learning_rate: float = 1e-3

    def changed(self, epochs: int | None, batch: int | None, image_size: int | None) -> "Recipe":
        """Return the recipe with what is given instead; image_size is that of training and bundle alike."""
        given = {"epochs": epochs, "batch": batch, "image_size": image_size, "screen_size": image_size}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


RECIPES: dict[str, dict[str, Recipe]] = {
    "s2swclip": {
        "mvtec": Recipe(16, 6, 518, 518, contexts=14, pair=0.5, pixel_object=0.001, wavelet=0.1),
        "visa": Recipe(10, 8, 400, 410, contexts=14, pair=0.03, pixel_object=1.0, wavelet=0.5),
    },
    "anomalyclip": {
        "mvtec": Recipe(15, 8, 518, 518, contexts=12),
        "visa": Recipe(15, 8, 518, 518, contexts=12),
    },
    "april_gan": {"mvtec": Recipe(3, 16, 518, 518), "visa": Recipe(15, 16, 518, 518)},
    "adaptclip": {
        "mvtec": Recipe(15, 8, 518, 518, contexts=12),
        "visa": Recipe(15, 8, 518, 518, contexts=12),
    },
}
"""Detector to the data set that it is trained on to its recipe."""


NOT_TRAINED = {
    "winclip": "it learns nothing",
    "musc": "it learns nothing",
    "rareclip": "it learns nothing; train AnomalyCLIP's prompts and give it these",
    "af_clip": "its patch alignment loss is not specified here",
    "aa_clip": "its losses are not specified here",
    "mvfa": "its losses are not specified here",
}
"""Why the other systems are not trained."""


def recipe_of(detector: str, name: str) -> Recipe:
    """Return a recipe; raises BundleError for a detector that is not trained or a name that is unknown."""
    if detector not in RECIPES:
        why = f" ({NOT_TRAINED[detector]})" if detector in NOT_TRAINED else ""
        raise BundleError(f"detector: {detector!r} cannot be trained{why}; {', '.join(RECIPES)} can")
    if name not in RECIPES[detector]:
        raise BundleError(f"recipe: {name!r} is unknown; known are {', '.join(RECIPES[detector])}")
    return RECIPES[detector][name]
