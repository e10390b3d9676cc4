"""Memory against the number of slices of one volume: real NIfTI, real decoding, a detector that does nothing.

.venv/bin/python -m benchmarks.volume_memory --slices 200 2000
"""

import argparse
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from benchmarks.pipeline_efficiency import NullDetect
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.schemas.config import ScreenConfig
from tests.support.null_stages import MemoryWatch

SIDE = 256


def volume(path: Path, slices: int) -> None:
    """Write SIDE x SIDE x slices of 16-bit noise, compressed, voxels thickest along the last axis."""
    samples = np.random.default_rng(1).integers(0, 1000, (SIDE, SIDE, slices), dtype=np.int16)
    nibabel.Nifti1Image(samples, np.diag([1.0, 1.0, 3.0, 1.0])).to_filename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, nargs="+", default=[200, 2000])
    for slices in parser.parse_args().slices:
        with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
            source = Path(folder) / "source"
            source.mkdir()
            volume(source / "volume.nii.gz", slices)
            stored = (source / "volume.nii.gz").stat().st_size
            config = ScreenConfig(
                source=str(source), output=f"{folder}/out", private_dir=f"{folder}/private", profile="none"
            )
            job, resources = prepare(config), plan_resources(config.cluster, "cpu")
            executor = NullDetect(config.cluster, resources, [])
            executor.grid = job.record.grid
            run = ScreeningRun(job, resources, make_executor=lambda _, executor=executor: executor)
            with MemoryWatch() as watch:
                summary = run.execute()
            assert summary.slices == slices
            print(f"{slices} slices, {stored / 2**20:.0f} MiB as stored: {watch}", flush=True)


if __name__ == "__main__":
    main()
