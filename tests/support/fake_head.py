"""A job server as Ray's dashboard has it, over HTTP and WebSocket, whose jobs end as a test says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from s2sw.pipeline.run.job_server import ADDRESS_ENV


def only_named_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands reach the head that they are told of, without tokens and addresses of the environment."""
    monkeypatch.setenv(ADDRESS_ENV, "http://elsewhere.invalid:1")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@dataclass
class FakeHead:
    """token: what requests must bring, or None. end: status and exit code of jobs when their log was read.

    torn: how often a log is cut off in its middle.
    """

    token: str | None = None
    end: tuple[str, int | None] = ("SUCCEEDED", 0)
    log: str = "listing\n10 of 20 objects\n20 of 20 objects\n"
    torn: int = 0
    address: str = ""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def posted(self) -> list[dict[str, Any]]:
        """What was submitted, refused ones included."""
        return [body for method, path, body in self.requests if (method, path) == ("POST", "/api/jobs/")]

    def add(self, job: str, status: str, exit_code: int | None = None) -> None:
        self.jobs[job] = {
            "type": "SUBMISSION", "submission_id": job, "entrypoint": "", "status": status,
            "driver_exit_code": exit_code, "start_time": 1_764_363_600_000 + len(self.jobs),
            "message": f"Ray says \x1b[31m{status}",
        }  # fmt: skip

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.body_exists else None
        self.requests.append((request.method, request.path, body))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=403 if "Authorization" in request.headers else 401)
        job, _, what = request.path.removeprefix("/api/jobs/").partition("/")
        if request.path == "/api/version":
            return web.json_response(
                {"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""}
            )
        if not job:
            return self._submitted(body) if body else web.json_response(list(self.jobs.values()))
        if job not in self.jobs:
            return web.Response(status=404, text=f"Job {job} does not exist")
        if what == "logs/tail":
            return await self._tail(request, job)
        if what == "logs":
            return web.json_response({"logs": self.log})
        if what == "stop":
            working = self.jobs[job]["status"] == "RUNNING"
            self.jobs[job]["status"] = "STOPPED"
            return web.json_response({"stopped": working})
        return web.json_response(self.jobs[job])

    def _submitted(self, body: dict[str, Any]) -> web.Response:
        job = body["submission_id"]
        if job in self.jobs:
            return web.Response(status=500, text=f"ValueError: Job with submission_id {job} already exists")
        self.add(job, "RUNNING")
        return web.json_response({"submission_id": job, "job_id": job})

    async def _tail(self, request: web.Request, job: str) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(self.log[: len(self.log) // 2])
        if self.torn:
            self.torn -= 1
            assert request.transport is not None
            request.transport.abort()
            return socket
        # the end of the log is left out, as Ray's own server does where a job ends quickly
        if self.jobs[job]["status"] == "RUNNING":
            status, code = self.end
            self.jobs[job] |= {"status": status, "driver_exit_code": code}
        await socket.close()
        return socket


@contextmanager
def running(head: FakeHead) -> Iterator[FakeHead]:
    """Serve a head on a free port of this machine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", head.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    head.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield head
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
