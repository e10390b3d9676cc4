"""Two Ray nodes, one of which dies in the middle of a run."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from s2sw.pipeline.run.ray_environment import FIXED
from tests.robustness import accounts
from tests.robustness.conftest import Archive, Undisturbed
from tests.robustness.processes import job_file, processes_of, screening, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

NODE = {"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="s2", ignore_cleanup_errors=True) as folder:
        for name, value in (FIXED | {"RAY_TMPDIR": folder}).items():
            monkeypatch.setenv(name, value)
        Path(folder, "ray").mkdir()
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            yield cluster
        finally:
            cluster.shutdown()
            until(lambda: not processes_of(Path(folder)), "the end of the cluster", seconds=120)


def test_a_node_that_dies_loses_nothing(
    cluster: Cluster, job: Path, archive: Archive, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    second = cluster.add_node(**NODE)
    output = str(tmp_path / "results")
    job = job_file(tmp_path, job, cluster={"address": cluster.address, "decode_memory": 200 << 20})
    with screening(job) as run:
        until(lambda: not run.alive or accounts.committed(output) > len(archive.slices) // 4, "a quarter")
        assert run.alive, run.stderr
        cluster.remove_node(second, allow_graceful=False)
        assert run.wait() == 0, run.stderr
        assert "Traceback" not in run.stderr
    accounts.assert_each_once(output, archive.slices)
    assert {status for status, _ in accounts.ends(output).values()} == {"screened"}
    assert accounts.scores(output) == pytest.approx(undisturbed.scores, abs=1e-6)
