"""From a scene to the picture that a camera hands over: light, colour, blur, noise, compression."""

import io
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, blurred, chance, cloud, coordinates, scale

PICTURE = 350
"""Side of a picture that a camera hands over, pixels: the embedded detector's input."""

Pixel = TypeVar("Pixel", bound=np.generic)

Picture = NDArray[np.uint8]
"""(PICTURE, PICTURE, 3)."""

WHOLE = (slice(0, SIDE), slice(0, SIDE))
"""The window of a camera that sees all of a scene."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One way of taking pictures; two takes of a scene with the same camera differ in noise alone.

    light: (SIDE, SIDE), multiplies. resolution: pixels a side before the picture is enlarged to PICTURE.
    quality: of JPEG, 0 for none. turn: quarter turns; mirror: flips left and right. window: the rows and
    columns of the scene that fill the picture, squashed where they are no square.
    """

    light: Field
    gamma: float
    gain: NDArray[np.float32]
    lift: float
    grey: bool
    blur: float
    resolution: int
    noise: float
    coarse: float
    quality: int
    turn: int
    mirror: bool
    window: tuple[slice, slice]

    @property
    def sees(self) -> NDArray[np.bool_]:
        """Which pixels of the scene (SIDE, SIDE) lie in the window."""
        seen = np.zeros((SIDE, SIDE), bool)
        seen[self.window] = True
        return seen

    def whole(self) -> "Camera":
        """Return the same camera with the whole scene in its picture."""
        return replace(self, window=WHOLE)

    def looking(self, rng: Rng, length: int) -> "Camera":
        """Return the same camera with another square part of the scene in view, turned where it is small."""
        window = (_part(rng, length), _part(rng, length))
        turn = int(rng.integers(0, 4)) if length < 0.9 * SIDE else self.turn
        return replace(self, window=window, turn=turn)

    def take(self, rng: Rng, image: Field) -> Picture:
        """Take a picture of a scene (SIDE, SIDE, 3)."""
        seen: Field = np.clip(image * self.light[..., None], 0, 1) ** np.float32(self.gamma) * self.gain
        seen = seen + np.float32(self.lift)
        if self.grey:
            seen = np.repeat(seen @ np.array([0.299, 0.587, 0.114], np.float32)[:, None], 3, axis=2)
        if self.blur > 0.3:
            seen = blurred(seen, self.blur)
        if self.coarse:
            seen = seen + np.float32(self.coarse) * cloud(rng, 0.6)[..., None]
        seen = enlarged(seen[self.window])
        grain = rng.standard_normal((PICTURE, PICTURE, 1 if self.grey else 3), dtype=np.float32)
        seen = seen + np.float32(self.noise) * grain
        out = Image.fromarray((np.clip(seen, 0, 1) * 255 + 0.5).astype(np.uint8))
        return self.turned(self._stored(out))

    def _stored(self, out: Image.Image) -> Picture:
        if self.resolution < PICTURE:
            out = out.resize((self.resolution, self.resolution), Image.Resampling.BOX)
        if self.quality:
            file = io.BytesIO()
            out.save(file, "JPEG", quality=self.quality)
            out = Image.open(file)
        if self.resolution < PICTURE:
            out = out.resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)
        return np.asarray(out)

    def turned(self, picture: NDArray[Pixel]) -> NDArray[Pixel]:
        """Turn and mirror as the camera does."""
        turned = np.rot90(picture, self.turn)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirror else turned)

    def framed(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a scene's mask (SIDE, SIDE) as it lies in the picture, in the same size."""
        part = Image.fromarray(mask[self.window]).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        return self.turned(np.asarray(part, bool))


def enlarged(seen: Field) -> Field:
    """Enlarge part of a scene (rows, columns, 3) to (PICTURE, PICTURE, 3); noise comes after it."""
    channels = [Image.fromarray(seen[..., i].astype(np.float32), "F") for i in range(3)]
    return np.stack(
        [np.asarray(c.resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)) for c in channels], axis=-1
    )


def draw_camera(rng: Rng, *, steady: bool = False) -> Camera:
    """Draw one, from studio quality to poor; a steady one has always about the same exposure and light."""
    poor = rng.random()
    camera = _any_camera(rng, poor)
    if not steady:
        return camera
    light = 1 + 0.2 * (camera.light - 1)
    gain = np.full(3, between(rng, 0.9, 1.1), np.float32)
    return replace(camera, light=light, gamma=1.0, gain=gain, lift=0.0, grey=True, window=WHOLE)


def _any_camera(rng: Rng, poor: float) -> Camera:
    return Camera(
        light=_light(rng),
        gamma=scale(rng, 0.6, 1.6) if chance(rng, 0.5) else 1.0,
        gain=np.clip(between(rng, 0.6, 1.15) * (1 + rng.normal(0, 0.05, 3) * chance(rng, 0.4)), 0, 2).astype(
            np.float32
        ),
        lift=between(rng, -0.05, 0.15) if chance(rng, 0.4) else 0.0,
        grey=chance(rng, 0.5),
        blur=between(rng, 0, 1.6) * poor if chance(rng, 0.6) else 0.0,
        resolution=int(scale(rng, 90, PICTURE)) if chance(rng, 0.35) else PICTURE,
        noise=scale(rng, 0.001, 0.006 + 0.04 * poor**2),
        coarse=between(rng, 0, 0.02) * poor if chance(rng, 0.2) else 0.0,
        quality=int(between(rng, 40, 95)) if chance(rng, 0.4) else 0,
        turn=int(rng.integers(0, 4)) if chance(rng, 0.5) else 0,
        mirror=chance(rng, 0.5),
        window=(_span(rng), _span(rng)) if chance(rng, 0.4) else WHOLE,
    )


def _span(rng: Rng) -> slice:
    """Return a part of a side of the scene, from half of it to all."""
    return _part(rng, int(between(rng, SIDE // 2, SIDE)))


def _part(rng: Rng, length: int) -> slice:
    first = int(rng.integers(0, SIDE - length + 1))
    return slice(first, first + length)


def _light(rng: Rng) -> Field:
    """Return how light falls: even, a slope, a vignette, a spot or slow clouds, or several of them."""
    y, x = coordinates()
    light: Field = np.ones((SIDE, SIDE), np.float32)
    if chance(rng, 0.5):
        angle = between(rng, 0, 2 * np.pi)
        slope = (np.sin(angle) * y + np.cos(angle) * x) / 120
        light = light * (1 + between(rng, 0, 0.45) * slope.astype(np.float32))
    if chance(rng, 0.35):
        light = light * (1 - between(rng, 0, 0.6) * ((y**2 + x**2) / (2 * 120**2)) ** scale(rng, 0.7, 2))
    if chance(rng, 0.25):
        cy, cx = rng.uniform(-130, 130, 2)
        reach = scale(rng, 50, 160)
        light = light + between(rng, -0.3, 0.5) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * reach**2))
    if chance(rng, 0.2):
        light = light * (1 + between(rng, 0, 0.12) * cloud(rng, 2.5))
    return np.clip(light, 0.05, 2).astype(np.float32)
