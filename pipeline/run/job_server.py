"""Runs on a Ray cluster that is up already: submitted to its head, followed, stopped."""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import requests
import urllib3
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from typing_extensions import override

from s2sw.schemas.errors import FailedError, UserError

ADDRESS_ENV = "RAY_API_SERVER_ADDRESS"
PREFIX = "s2sw-"
EXIT_FAILED, EXIT_DEFERRED, LARGEST_EXIT = 1, 3, 255
SETTLED = frozenset({2, 3, 4})
"""Exit codes of a screening that the same job would only get again, or that are no failure."""
LARGEST_JOB = 64 << 10
"""Bytes of a configuration at most: Linux takes 128 KiB in one argument."""
STOP_SECONDS = 120  # a run that is stopped commits what is done; Ray itself would kill it after 3 s
REQUEST_SECONDS = 30.0
LOST_SECONDS = 300.0  # a head that is silent for so long is given up
POLL_SECONDS = 1.0
ANSWER_BYTES = 64 << 20
ANSWER_SECONDS = 120.0
"""Of an answer, from its first byte to its last."""
ATTEMPTS = 100
"""Of one job in one night; a server that says more of them have failed is not asked on."""
MESSAGE_CHARACTERS = 300

_T = TypeVar("_T")


@dataclass(frozen=True)
class Submission:
    """A job on the cluster. new: this call started it; else it was there already."""

    job: str
    new: bool


@dataclass(frozen=True)
class SubmittedJob:
    """Where a job stands. exit_code: of ``s2sw screen``, None before its end; message: Ray's words."""

    job: str
    status: str
    started: datetime | None
    exit_code: int | None
    message: str


class _Client(JobSubmissionClient):
    """Ray's client, whose requests have no limit of time and size, and follow redirects (Ray 2.60)."""

    @override
    def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
        limits: dict[str, Any] = {
            "timeout": REQUEST_SECONDS,
            "allow_redirects": False,
            "hooks": {"response": _read_whole},
        }
        return super()._do_request(method, endpoint, **limits, **more)


class JobServer:
    """The job server of a head node.

    address: ``http://host:8265`` or ``https://...``. The token of a cluster that asks for one is taken from
    where Ray takes it: ``RAY_AUTH_MODE=token`` with ``RAY_AUTH_TOKEN`` or ``RAY_AUTH_TOKEN_PATH``.
    Every method raises UserError, or FailedError where the head cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        os.environ[ADDRESS_ENV] = address  # what the environment holds goes before Ray's own argument
        self._client = self._asked(lambda: _Client(address))

    def submit(self, configuration: str, night: date, again: bool = False) -> Submission:
        """Start the job of a configuration and a night, once: what was started already is returned as it is.

        A job that failed without having said what is wrong is started again, under the next number.
        configuration: YAML. again: start it again, too, if it has ended otherwise.
        """
        base = submission_id(configuration, night)
        for attempt in range(1, ATTEMPTS + 1):
            job = base if attempt == 1 else f"{base}-{attempt}"
            if self._find(job) is None and self._created(job, configuration):
                return Submission(job, new=True)
            if not _may_start_anew(self._details(job), again):
                return Submission(job, new=False)
        raise FailedError(f"{self.address}: {base} has failed {ATTEMPTS} times: start no more of it tonight")

    def follow(self, job: str, say: Callable[[str], None]) -> SubmittedJob:
        """Hand on the job's log, from its beginning, as it grows; return the job when it has ended."""
        self._details(job)
        shown = 0
        heard = time.monotonic()
        while True:
            try:
                for chunk in _Tail(self._client, job, shown):
                    say(chunk)
                    shown += len(chunk)
                    heard = time.monotonic()
                details = self._details(job)
                if details.status.is_terminal():
                    # the server may end the tail before the last lines are in it
                    say(self._log(job)[shown:])
                    return _told(details)
                heard = time.monotonic()
            except (FailedError, aiohttp.ClientError, RuntimeError, OSError) as error:
                if time.monotonic() - heard > LOST_SECONDS:
                    raise FailedError(
                        f"{self.address}: silent for {LOST_SECONDS:.0f} s; the job may go on: "
                        f"`s2sw jobs follow {job}`"
                    ) from error
            time.sleep(POLL_SECONDS)

    def jobs(self) -> list[SubmittedJob]:
        """Return what was submitted by s2sw, the latest first."""
        found = [one for one in self._asked(self._client.list_jobs) if _is_own(one)]
        return [_told(one) for one in sorted(found, key=lambda one: one.start_time or 0, reverse=True)]

    def stop(self, job: str) -> bool:
        """Ask a job to end; return whether it was at work. What it has done is committed."""
        self._details(job)
        return self._asked(lambda: self._client.stop_job(job))

    def _log(self, job: str) -> str:
        found: Any = self._asked(lambda: self._client.get_job_logs(job))
        if not isinstance(found, str):
            raise FailedError(f"{self.address}: answers what no job server of Ray does")
        return found

    def _created(self, job: str, configuration: str) -> bool:
        """Start a job; False if another submission of the same was faster."""
        try:
            self._asked(
                lambda: self._client.submit_job(
                    entrypoint=entrypoint(configuration),
                    submission_id=job,
                    runtime_env={"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}},
                )
            )
        except FailedError:
            if self._find(job) is None:
                raise
            return False
        return True

    def _details(self, job: str) -> JobDetails:
        found = self._find(job)
        if found is None or not _is_own(found):
            raise UserError(f"{job}: no such job at {self.address}; `s2sw jobs list` names them")
        return found

    def _find(self, job: str) -> JobDetails | None:
        try:
            return self._asked(lambda: self._client.get_job_info(job))
        except FailedError as error:
            if "status code 404" in str(error):
                return None
            raise

    def _asked(self, call: Callable[[], _T]) -> _T:
        """Return what the head answers, its errors as one line."""
        try:
            return call()
        except AuthenticationError as error:
            raise UserError(_token_problem(self.address, str(error))) from None
        except (OSError, RuntimeError, ValueError) as error:
            unreachable = isinstance(error, OSError)
            why = "cannot be reached" if unreachable else " ".join(str(error).split())[:MESSAGE_CHARACTERS]
            hint = "; is it the head's dashboard (port 8265)?" if unreachable else ""
            raise FailedError(f"{self.address}: {why}{hint}") from None
        except (TypeError, AttributeError, LookupError):
            raise FailedError(f"{self.address}: answers what no job server of Ray does") from None


def _read_whole(response: requests.Response, **_: Any) -> requests.Response:
    """Read an answer's body within its bounds, before Ray's client does without."""
    if response.is_redirect:
        raise RuntimeError("the server redirects; give the address of the head's dashboard itself")
    found, until = bytearray(), time.monotonic() + ANSWER_SECONDS
    try:
        while piece := response.raw.read1(1 << 16, decode_content=True):
            found += piece
            if len(found) > ANSWER_BYTES:
                raise RuntimeError(f"its answer has more than {ANSWER_BYTES >> 20} MiB")
            if time.monotonic() > until:
                raise RuntimeError(f"its answer takes more than {ANSWER_SECONDS:.0f} s")
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionError(str(error)) from error
    finally:
        response.close()
    response.raw = urllib3.HTTPResponse(BytesIO(bytes(found)), preload_content=False)
    return response


class _Tail:
    """The log of a job beyond its first characters, piece by piece, until the server ends it."""

    def __init__(self, client: JobSubmissionClient, job: str, skip: int) -> None:
        self._pieces = client.tail_job_logs(job)
        self._skip = skip

    def __iter__(self) -> Any:
        with asyncio.Runner() as runner:
            while True:
                try:
                    piece = runner.run(self._next())
                except StopAsyncIteration:
                    return
                skipped = min(self._skip, len(piece))
                self._skip -= skipped
                if piece[skipped:]:
                    yield piece[skipped:]

    async def _next(self) -> str:
        return await anext(self._pieces)


def submission_id(configuration: str, night: date) -> str:
    """Return the id under which a configuration runs once a night."""
    return f"{PREFIX}{night:%Y%m%d}-{hashlib.sha256(configuration.encode()).hexdigest()[:16]}"


def entrypoint(configuration: str) -> str:
    """Return the shell command of a job: the configuration is its input, so that nothing else is sent.

    Raises UserError for one that is too long.
    """
    if len(configuration.encode()) > LARGEST_JOB:
        raise UserError(f"the job file has more than {LARGEST_JOB >> 10} KiB; shorten it")
    # no line of the text can be its own digest, and in quotes the shell leaves the text as it is
    end = hashlib.sha256(configuration.encode()).hexdigest()
    return f"exec s2sw screen - --address auto <<'{end}'\n{configuration.rstrip()}\n{end}\n"


def _checked(address: str) -> str:
    """Return the address as it may be shown. Other schemes would make Ray import a module of that name."""
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise UserError("--address: http://HEAD:8265 is expected, the address of the head's dashboard")
    return f"{parts.scheme}://{parts.netloc}"


def _may_start_anew(details: JobDetails, again: bool) -> bool:
    if not details.status.is_terminal():
        return False
    failed = details.status is JobStatus.FAILED and details.driver_exit_code not in SETTLED
    return again or failed


def _told(details: JobDetails) -> SubmittedJob:
    started = None
    if details.start_time:
        with suppress(ValueError, OverflowError, OSError):  # no day of a calendar
            started = datetime.fromtimestamp(details.start_time / 1000, UTC)
    code = _exit_code(details) if details.status.is_terminal() else None
    message = (details.message or "")[:MESSAGE_CHARACTERS]
    return SubmittedJob(str(details.submission_id), details.status.value.lower(), started, code, message)


def _exit_code(details: JobDetails) -> int:
    if details.status is JobStatus.STOPPED:
        return EXIT_DEFERRED
    if details.status is JobStatus.SUCCEEDED:
        return 0
    code = details.driver_exit_code
    # a process that ended with 256 would have ended with 0
    return code if code is not None and 0 < code <= LARGEST_EXIT else EXIT_FAILED


def _is_own(details: JobDetails) -> bool:
    return (details.submission_id or "").startswith(PREFIX)


def _token_problem(address: str, answer: str) -> str:
    if answer.startswith("Authentication failed"):
        return f"{address}: refuses the token; is it this cluster's (RAY_AUTH_TOKEN_PATH)?"
    return f"{address}: asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH, its file"
