"""Label Studio itself, set up as docs/exports.md says: pictures are served, tasks have their masks."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from s2sw.pipeline.exports.revealing import Reveal
from tests.pipeline.exports.exported import export
from tests.support.client_programs import CLIENTS, program
from tests.support.screened import Screened

pytestmark = pytest.mark.clients

USER, PASSWORD = "reviewer@example.org", "only-for-this-test"
DOCS = Path(__file__).parents[3] / "docs/exports.md"
PREPARED = CLIENTS / "label-studio/data"
"""Its empty database, made by ``make test-clients``: 70 s of computing, many minutes on a busy machine."""
SECONDS_TO_START = 900  # without it


class Studio:
    """A browser's session with a server of Label Studio."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def status(self, path: str) -> int:
        try:
            with self.opener.open(self.address + path, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def sign_in(self) -> None:
        self.status("/user/login")
        fields = {"csrfmiddlewaretoken": self._token(), "email": USER, "password": PASSWORD}
        self._send("/user/login", urllib.parse.urlencode(fields).encode(), {})

    def post(self, path: str, told: Any) -> tuple[int, Any]:
        try:
            with self._send(path, json.dumps(told).encode(), {"Content-Type": "application/json"}) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> Any:
        headers = {"X-CSRFToken": self._token(), "Referer": self.address, **headers}
        request = urllib.request.Request(self.address + path, body, headers)
        return self.opener.open(request, timeout=60)

    def _token(self) -> str:
        return next(str(cookie.value) for cookie in self.cookies if cookie.name == "csrftoken")


@pytest.fixture
def studio(tmp_path: Path, folder: Path) -> Iterator[Studio]:
    """Start a server with the two documented settings; everything that it writes is temporary."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = dict(re.findall(r"`(LABEL_STUDIO_LOCAL_FILES_\w+)=(\w+)`", DOCS.read_text()))
    assert len(settings) == 2
    environment = os.environ | {name: value.replace("DIR", str(folder)) for name, value in settings.items()}
    environment |= {
        "LABEL_STUDIO_BASE_DATA_DIR": str(tmp_path / "studio"),
        "COLLECT_ANALYTICS": "False",
        "LATEST_VERSION_CHECK": "false",
    }
    environment.pop("PYTHONPATH", None)
    if PREPARED.exists():
        shutil.copytree(PREPARED, tmp_path / "studio")
    command = [program("label-studio", "label-studio"), "start", "--no-browser", "--port", str(port)]
    command += ["--internal-host", "127.0.0.1", "--username", USER, "--password", PASSWORD]
    with (
        (tmp_path / "studio.log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            studio = Studio(f"http://127.0.0.1:{port}")
            _wait(studio, server, tmp_path / "studio.log")
            studio.sign_in()
            yield studio
        finally:
            server.terminate()


def _wait(studio: Studio, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and server.poll() is None:
        try:
            if studio.status("/health") == 200:
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"Label Studio does not answer: {log.read_text()[-1500:]}")


def test_the_documented_steps_show_every_picture(
    private_archive: Screened, folder: Path, studio: Studio
) -> None:
    export(private_archive, "label-studio", folder, Reveal.PIXELS, top=4)
    configuration = (folder / "label_config.xml").read_text()
    tasks = json.loads((folder / "tasks.json").read_text())
    status, project = studio.post("/api/projects", {"title": "anomalies", "label_config": configuration})
    assert status == 201, project
    pictures = [task["data"]["image"] for task in tasks]
    assert {studio.status(picture) for picture in pictures} == {404}
    storage = {"project": project["id"], "use_blob_urls": True}
    status, said = studio.post("/api/storages/localfiles", storage | {"path": str(folder)})
    assert status == 400
    assert "subdirectory" in said
    status, said = studio.post("/api/storages/localfiles", storage | {"path": str(folder / "images")})
    assert status == 201, said
    assert {studio.status(picture) for picture in pictures} == {200}
    status, said = studio.post(f"/api/projects/{project['id']}/import", tasks)
    assert status == 201, said
    assert (said["task_count"], said["prediction_count"]) == (4, 4)
