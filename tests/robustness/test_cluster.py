"""Nodes of a cluster that die in the middle of a run, and one that takes their place."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray._private.node import Node
from ray.cluster_utils import Cluster

from s2sw.pipeline.run.ray_environment import FIXED
from tests.robustness import accounts
from tests.robustness.conftest import Archive, Undisturbed
from tests.robustness.processes import ACTOR, DECODER, job_file, processes_of, screening, titled, until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PARTITIONS = 2
NODE = {"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="s2", ignore_cleanup_errors=True) as folder:
        for name, value in (FIXED | {"RAY_TMPDIR": folder}).items():
            monkeypatch.setenv(name, value)
        Path(folder, "ray").mkdir()
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
        try:
            yield cluster
        finally:
            cluster.shutdown()
            until(lambda: not processes_of(Path(folder)), "the end of the cluster", seconds=120)


def working(nodes: list[Node], title: str) -> Node | None:
    """Return a node on which a process with such a title works."""
    return next((node for node in nodes if titled(_raylet(node), title)), None)


def _raylet(node: Node) -> int:
    (one,) = node.all_processes["raylet"]
    return int(one.process.pid)


def test_nodes_that_die_lose_nothing(
    cluster: Cluster, job: Path, archive: Archive, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """One of them decodes, the other one detects; several writers are on the node of the driver."""
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
    output = str(tmp_path / "results")
    settings = {"address": cluster.address, "decode_memory": 200 << 20}
    job = job_file(tmp_path, job, cluster=settings, partitions=PARTITIONS)
    with screening(job) as run:
        for title, share in ((DECODER, 0.0), (ACTOR, 0.4)):
            enough = int(share * len(archive.slices))
            until(lambda: not run.alive or accounts.committed(output) >= enough, f"{share:.0%}")  # noqa: B023
            until(lambda: not run.alive or working(nodes, title), title)  # noqa: B023
            assert run.alive, run.stderr
            dying = working(nodes, title) or nodes[0]
            nodes = [node for node in nodes if node is not dying] + [cluster.add_node(**NODE)]
            cluster.remove_node(dying, allow_graceful=False)
        assert run.wait() == 0, run.stderr
        assert "Traceback" not in run.stderr
    assert len(accounts.last_run(output)["partitions"]) == PARTITIONS
    accounts.assert_each_once(output, archive.slices)
    assert {status for status, _ in accounts.ends(output).values()} == {"screened"}
    assert accounts.scores(output) == pytest.approx(undisturbed.scores, abs=1e-6)
