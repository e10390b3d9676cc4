"""Features of pictures as files: one a picture, whole or not there, so that a killed pass continues."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from s2sw.model.errors import BundleError
from s2sw.model.training.visual import Features
from s2sw.schemas.whole_files import BY_UMASK, write_whole


class FeatureStore:
    """A folder of features by key. Keys say all that the features depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def has(self, key: str) -> bool:
        """Tell whether a picture's features are there."""
        return self._path(key).is_file()

    def put(self, key: str, features: Features) -> None:
        """Keep the features of one picture (B = 1)."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        named = {"image": features.image} | {f"tap{n}": tap for n, tap in enumerate(features.taps)}
        write_whole(path, save({name: tensor.contiguous() for name, tensor in named.items()}), BY_UMASK)

    def get(self, key: str) -> Features:
        """Return the features of one picture (B = 1). Raises BundleError for a file that was damaged."""
        path = self._path(key)
        try:
            named = load_file(path)
            return Features(named.pop("image"), tuple(named[f"tap{n}"] for n in range(len(named))))
        except (SafetensorError, KeyError, OSError) as error:
            raise BundleError(f"{path}: cannot be read ({error}); remove it and train again") from error
