"""Gathers what the GPU stages need and the GPU machine lacks: python -m benchmarks.gpu.carry [--screen]

Makes the folder .gpu: wheels for Python 3.12 on x86-64; the text side of the golden bundles, computed here,
where open_clip is; and 200 real pictures. With --screen also .gpu-screen-1 and .gpu-screen-2, what a whole
screening needs besides, in two parts. Each must travel with the tree in one go; a part over the limit fails.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import elpv_dataset
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.gpu.bundles import OWN, REAL
from s2sw.model import build_bundle
from s2sw.model.bundles.record import RECORD, WEIGHTS
from tests.support.golden import DATA, golden
from tests.support.golden_family import case
from tests.support.tiny_clip import tiny_images

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".gpu"
PARTS = (ROOT / ".gpu-screen-1", ROOT / ".gpu-screen-2")
CONSTRAINTS = ROOT / "constraints.txt"
ARCHIVE = "site.tar.xz"
PICTURES = 200
LIMIT = 64 << 20
"""Bytes that travel in one go, the tree among them."""
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
WHEELS = (
    "annotated-types", "pycocotools", "pydantic", "pydantic-core", "pytorch-wavelets", "pywavelets",
    "setuptools", "typing-extensions", "typing-inspection", "zstandard",
)  # fmt: skip
"""What stages 1 to 5 import beside torch, NumPy, SciPy, Pillow, pyarrow and safetensors."""
SCREEN_WHEELS = (
    "aiohttp-cors", "colorful", "duckdb", "fsspec", "google-api-core", "google-auth",
    "googleapis-common-protos", "jsonschema", "jsonschema-specifications", "nibabel", "opencensus",
    "opencensus-context", "opentelemetry-api", "opentelemetry-exporter-prometheus", "opentelemetry-proto",
    "opentelemetry-sdk", "opentelemetry-semantic-conventions", "proto-plus", "pyasn1", "pyasn1-modules",
    "pydicom", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "ray", "referencing", "rpds-py", "smart-open",
    "wcwidth",
)  # fmt: skip
"""What a whole screening of JPEG files in a folder imports besides: no S3, no codecs of DICOM."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screen", action="store_true", help="also what a whole screening needs")
    args = parser.parse_args()
    gather(FOLDER, GOLDEN, PICTURES)
    pip("download", WHEELS, "-d", str(FOLDER / "wheels"))
    folders = [FOLDER]
    if args.screen:
        gather_screen()
        folders += PARTS
    tree = sum(path.stat().st_size for path in travelling())
    print(f"the tree: {tree / 2**20:.1f} MiB")
    for folder in folders:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder.name}: {size / 2**20:.1f} MiB, with the tree {(size + tree) / 2**20:.1f} of 64")
        if size + tree > LIMIT:
            sys.exit(f"{folder.name}: over the limit; take wheels out of it that the machine has")


def gather(folder: Path, golden_cases: Iterable[str], pictures: int) -> None:
    """Make the folder that stages 1 to 5 are given, but for the wheels."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in golden_cases:
        keep_text_side(GOLDEN[name], folder / "golden" / name)
    np.savez_compressed(folder / REAL, pictures=solar_cells(pictures))


def keep_text_side(build: Callable[[Path], Path], folder: Path) -> None:
    """Build a bundle and keep all but its tower, which is made again from its seed."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = build(Path(scratch) / "bundle")
        tensors = load_file(bundle / WEIGHTS)
        save_file({n: t for n, t in tensors.items() if not n.startswith("visual.")}, folder / OWN)
        shutil.copy(bundle / RECORD, folder / RECORD)


def s2swclip(name: str) -> Callable[[Path], Path]:
    def build(out: Path) -> Path:
        of = golden(name)
        return build_bundle(out, of.clip, prompts=of.prompts, image_size=of.meta["size"], mix=of.meta["mix"])

    return build


def of_family(name: str, detector: str, options: Callable[[Any], dict[str, Any]]) -> Callable[[Path], Path]:
    def build(out: Path) -> Path:
        of = case(name)
        return build_bundle(out, of.clip, detector=detector, image_size=of.size, **options(of))

    return build


def normals(of: Any) -> dict[str, Any]:
    pictures = tiny_images(of.meta["reference_seed"], of.meta["k_shot"], of.size)
    return {"class_name": "bottle", "references": torch.from_numpy(pictures)}


def adaptclip(of: Any) -> dict[str, Any]:
    return {"checkpoint": DATA / "golden_adaptclip_ckpt.pth"}


def af_clip(of: Any) -> dict[str, Any]:
    return {"prompt": DATA / "golden_afclip_prompt.pt", "adaptor": DATA / "golden_afclip_adaptor.pt"}


def aa_clip(of: Any) -> dict[str, Any]:
    files = {name: DATA / f"golden_aaclip_{name}.pth" for name in ("image_adapter", "text_adapter")}
    return files | {"class_name": of.meta["class_name"]}


def mvfa(of: Any) -> dict[str, Any]:
    return {"checkpoint": DATA / "golden_mvfa_ckpt.pth", "class_name": of.meta["class_name"]}


def with_normals(options: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    return lambda of: options(of) | {"references": of.references}


GOLDEN: dict[str, Callable[[Path], Path]] = {
    "s2swclip_a": s2swclip("a"),
    "s2swclip_b": s2swclip("b"),
    "anomalyclip": of_family(
        "anomalyclip", "anomalyclip", lambda of: {"prompts": DATA / "golden_anomalyclip_prompts.pth"}
    ),
    "april_gan": of_family(
        "april", "april_gan", lambda of: {"linear": DATA / "golden_april_linear.pth", "class_name": "bottle"}
    ),
    "winclip": of_family("winclip", "winclip", lambda of: {"class_name": "bottle"}),
    "winclip_plus": of_family("winclip", "winclip", normals),
    "adaptclip": of_family("adaptclip", "adaptclip", adaptclip),
    "adaptclip_few": of_family("adaptclip", "adaptclip", with_normals(adaptclip)),
    "af_clip": of_family("afclip", "af_clip", af_clip),
    "af_clip_few": of_family("afclip", "af_clip", with_normals(af_clip)),
    "aa_clip": of_family("aaclip", "aa_clip", aa_clip),
    "mvfa": of_family("mvfa", "mvfa", mvfa),
    "mvfa_few": of_family("mvfa", "mvfa", with_normals(mvfa)),
}
"""The bundles of ``parity.CASES``, by name."""


def solar_cells(count: int) -> NDArray[np.uint8]:
    """Return real pictures, uint8 (count, 300, 300): electroluminescence images of solar cells."""
    files = sorted((Path(elpv_dataset.__file__).parent / "data" / "images").glob("*.png"))
    some = [files[number] for number in np.linspace(0, len(files) - 1, count).astype(int)]
    return np.stack([np.asarray(Image.open(path).convert("L")) for path in some])


def pip(verb: str, names: Iterable[str], *options: str) -> None:
    """Download or install wheels for the GPU machine, at the versions of constraints.txt."""
    pinned = dict(line.lower().replace("_", "-").split("==") for line in CONSTRAINTS.read_text().split())
    wanted = [f"{name}=={pinned[name]}" if name in pinned else f"{name}<81" for name in names]
    command = [sys.executable, "-m", "pip", verb, "-q", "--no-deps", "--only-binary=:all:", *options]
    command += ["--python-version", "3.12", "--implementation", "cp"]
    command += [f"--platform={platform}_x86_64" for platform in PLATFORMS]
    subprocess.run([*command, *wanted], check=True)


def gather_screen() -> None:
    """Install what a whole screening needs for the GPU machine, pack it tightly, and cut it in two.

    As wheels it would be over twice the limit.
    """
    with tempfile.TemporaryDirectory() as scratch:
        site, packed = Path(scratch) / "site", Path(scratch) / ARCHIVE
        pip("install", SCREEN_WHEELS, "--target", str(site), "--no-compile")
        own = site / f"s2sw-{version('s2sw')}.dist-info"  # a run's record names the version of the package
        own.mkdir()
        (own / "METADATA").write_text(distribution("s2sw").read_text("METADATA") or "")
        with tarfile.open(packed, "w:xz") as archive:
            archive.add(site, "site")
        data = packed.read_bytes()
    half = -(-len(data) // 2)
    for part, piece in zip(PARTS, (data[:half], data[half:]), strict=True):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        (part / ARCHIVE).write_bytes(piece)


def travelling() -> list[Path]:
    """Return the files of the tree that travel by themselves: tracked, or neither tracked nor ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


if __name__ == "__main__":
    main()
