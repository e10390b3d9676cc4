"""Modules of a user's in the directory of a node, or of a submitted job, are not taken for ours."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.robustness.processes import job_file, until
from tests.support.archives import encoded, texture
from tests.support.commands import COMMAND
from tests.support.ray_head import RAY, RayHead, ray_head
from tests.support.shadows import OURS, shadows

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PICTURES = 6
NOT_YET = "No available agent"
OLD = OURS[:-1]
"""What Ray puts on PYTHONPATH comes before everything installed: a module called s2sw there is in the way."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(PICTURES):
        (folder / f"{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    return folder


@pytest.fixture
def head(tmp_path: Path) -> Iterator[RayHead]:
    """A head in a directory with modules of ours alone: Ray's own dashboard does not survive others."""
    with ray_head(shadows(tmp_path / "node", OURS)) as found:
        yield found


def test_nodes_and_jobs_in_directories_full_of_modules(
    head: RayHead, source: Path, bundle: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / "driven", tmp_path / "submitted"]
    for output in outputs:
        output.mkdir()
        job_file(
            output, source=str(source), output=str(output / "results"), mode="open", bundle=str(bundle),
            private_dir=str(output / "private"), cluster={"address": head.address, "workers": 1},
        )  # fmt: skip
    driven, submitted = ([str(COMMAND), "screen", str(output / "job.yaml")] for output in outputs)
    submit = [
        str(RAY), "job", "submit", f"--address={head.jobs}",
        f"--working-dir={shadows(tmp_path / 'uploaded', OLD)}", "--", *submitted,
    ]  # fmt: skip
    for output, command in zip(outputs, (driven, submit), strict=True):
        here, said = shadows(output / "here"), [NOT_YET]

        def ended(command: list[str] = command, here: Path = here, said: list[str] = said) -> bool:
            done = subprocess.run(
                command, cwd=here, env=head.environment, capture_output=True, text=True, check=False
            )
            said[:] = [done.stdout + done.stderr]
            return done.returncode == 0 or NOT_YET not in said[0]

        until(ended, "the agent that takes jobs", seconds=120)
        ends = accounts.ends(str(output / "results"))
        assert [status for status, _ in ends.values()] == ["screened"] * PICTURES, said
