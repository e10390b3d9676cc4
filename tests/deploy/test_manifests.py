"""What lies in deploy/: it parses, KubeRay's schemas know every key, and the closed settings are there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from s2sw.jobs.cli import app
from s2sw.jobs.configuration import build_config
from s2sw.pipeline.privacy.ids import KEY_FILE_ENV
from s2sw.pipeline.run.job_server import ADDRESS_ENV
from tests.test_snippets import parse

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SCHEMAS = ROOT.parent / "shared" / "schemas"
KINDS = {"RayJob": "rayjobs", "RayCronJob": "raycronjobs", "RayCluster": "rayclusters"}

CLOSED = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip


def rendered(overlay: str) -> dict[str, dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which renders kustomize, is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


def cron_job() -> dict[str, Any]:
    return dict(yaml.safe_load((KUBERNETES / "base/cronjob.yaml").read_text()))


def unknown(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """Return the keys that a schema does not know, and values of another type."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string"):
        return []
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        if not known and others is None and schema.get("type") == "object":
            return []
        return [
            problem
            for key, inner in value.items()
            for problem in (
                unknown(inner, known.get(key, others), f"{where}.{key}")
                if key in known or isinstance(others, dict)
                else [f"{where}.{key}"]
            )
        ]
    if isinstance(value, list):
        return [p for i, one in enumerate(value) for p in unknown(one, schema["items"], f"{where}[{i}]")]
    kinds = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}
    fits = isinstance(value, kinds.get(schema.get("type", ""), object))
    return [] if fits else [f"{where} is {value!r}"]


def check(document: dict[str, Any]) -> None:
    path = SCHEMAS / f"{KINDS[document['kind']]}.json"
    if not path.is_file():
        pytest.skip("KubeRay's schemas are not here")
    spec = json.loads(path.read_text())["versions"]["v1"]["properties"]["spec"]
    assert unknown(document["spec"], spec) == []
    assert unknown({**document["spec"], "misspelt": 1}, spec) == [".misspelt"]


def test_the_base_fits_its_schema() -> None:
    check(cron_job())


@pytest.mark.parametrize(
    ("overlay", "kind"),
    [("base", "RayCronJob"), ("once", "RayJob"), ("hospital", "RayCronJob"), ("standing", "RayCluster")],
)
def test_overlays_fit_their_schemas(overlay: str, kind: str) -> None:
    documents = rendered(overlay)
    check(documents[kind])
    if kind == "RayJob":
        assert documents["RayJob"]["spec"] == cron_job_with_images()
        assert "RayCronJob" not in documents


def test_a_standing_cluster_is_sent_the_nights_job() -> None:
    documents = rendered("standing")
    assert "RayCronJob" not in documents
    assert documents["RayCluster"]["spec"] == cron_job_with_images()["rayClusterSpec"]
    pod = documents["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (_, _, line) = container["command"]
    command, _ = line.split(" || ")
    environment = {entry["name"]: entry for entry in container["env"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ADDRESS_ENV, environment[ADDRESS_ENV]["value"])
        parse(typer.main.get_command(app), command.split()[1:])
    assert environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "s2sw"
    assert container["securityContext"] == CLOSED
    assert not {KEY_FILE_ENV, "AWS_SECRET_ACCESS_KEY"} & set(environment)
    assert "envFrom" not in container
    assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    assert (pod["automountServiceAccountToken"], pod["securityContext"]["runAsNonRoot"]) == (False, True)


def cron_job_with_images() -> dict[str, Any]:
    return dict(rendered("base")["RayCronJob"]["spec"]["jobTemplate"])


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["rayClusterSpec"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_every_pod_is_closed_and_the_head_alone_has_the_key() -> None:
    job = cron_job()["spec"]["jobTemplate"]
    assert job["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for place, pod in enumerate(pods(job)):
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"] == CLOSED
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["automountServiceAccountToken"] is False
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
        assert ({"id-key", "private"} <= mounted) == (place == 0)
        assert mounted.isdisjoint({"id-key", "private"}) == (place > 0)
        assert any(entry["name"] == "S2SW_ID_KEY_FILE" for entry in container["env"]) == (place == 0)


def test_the_hospital_reaches_its_storage_alone() -> None:
    documents = rendered("hospital")
    policy = documents["NetworkPolicy"]["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    assert [rule["to"][0]["ipBlock"] for rule in policy["egress"] if "ipBlock" in rule["to"][0]] == [
        {"cidr": "203.0.113.10/32"}
    ]
    job = documents["RayCronJob"]["spec"]["jobTemplate"]
    label = policy["podSelector"]["matchLabels"].items()
    assert all(label <= pod["metadata"]["labels"].items() for pod in pods(job))
    assert all("nodeSelector" in pod["spec"] for pod in pods(job))
    assert [group["groupName"] for group in job["rayClusterSpec"]["workerGroupSpecs"]] == ["gpu", "spot"]
    assert [pod["spec"]["terminationGracePeriodSeconds"] for pod in pods(job)] == [60, 60, 120]


def test_the_job_file_of_the_base_can_be_read() -> None:
    config = build_config(KUBERNETES / "base/nightly.yaml", {})
    assert (config.mode, config.bundle) == ("private", "s3://models/s2swclip/")


def test_the_container_is_pinned_and_fetches_nothing_when_it_starts() -> None:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    installs = [part for line in lines for part in line.split("&&") if "bin/pip " in part]
    assert len(installs) == 3
    assert all("--constraint constraints.txt" in part for part in installs)
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert all((ROOT / name).exists() for name in copied if not name.startswith(("/", "--")))
    final = lines[next(i for i, line in enumerate(lines) if line.endswith(" AS runtime")) :]
    assert "USER 10001:10001" in final
    assert not any("pip " in line or line.startswith("ADD") for line in final)


def test_no_registry_is_named() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert not re.search(
            r"\b(docker\.io|ghcr\.io|quay\.io|nvcr\.io|gcr\.io|pypi\.org)\b", path.read_text()
        ), path
