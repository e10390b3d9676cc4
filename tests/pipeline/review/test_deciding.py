"""Decisions through the page: they last, they can be taken back, and two reviewers lose nothing."""

import os
import re
import signal
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.flagging.decisions import Decision, append, decisions, history
from s2sw.pipeline.review.decision_log import DecisionLog, SliceKey
from s2sw.schemas.decisions import DecisionKind
from tests.pipeline.review.serving import Client, served
from tests.support.commands import COMMAND
from tests.support.finished_runs import SETTINGS
from tests.support.screened import Screened

NAME = "ward/ct.dcm"


def counted(screened: Screened) -> list[tuple[str, int, str, str]]:
    rows: list[dict[str, Any]] = decisions(LocalOutput(screened.output)).to_pylist()
    return [(row["object_id"], row["slice_index"], row["reviewer"], row["decision"]) for row in rows]


def test_a_decision_is_kept_with_what_was_seen(page: Client, private: Screened) -> None:
    answer = page.decide(private.ids[NAME], "accept", note="line one\r\nline two ", threshold=0.25)
    assert answer.status == 303
    (row,) = decisions(LocalOutput(private.output)).to_pylist()
    assert (row["object_id"], row["slice_index"], row["fingerprint"]) == (private.ids[NAME], 0, SETTINGS)
    assert (row["decision"], row["note"], row["reviewer"]) == ("accept", "line one\nline two", "ada")
    assert row["threshold"] == 0.25
    assert abs(datetime.now(UTC) - row["decided"]) < timedelta(hours=1)
    shown = page.get(f"/slice/{private.ids[NAME]}/0").text
    assert "✓ anomaly" in shown
    assert "line two" in shown


def test_after_a_decision_the_next_of_the_worklist_comes(page: Client, private: Screened) -> None:
    shown = page.get(f"/slice/{private.ids[NAME]}/0?decision=open").text
    following = re.search(r'href="([^"]+)" rel="next"', shown)
    assert following
    answer = page.decide(private.ids[NAME], "reject", query="?decision=open", advance=1)
    assert answer.headers["Location"] == following[1].replace("&amp;", "&")
    stays = page.decide(private.ids[NAME], "reject", query="?decision=open")
    assert stays.headers["Location"].startswith(f"{page.root}/slice/{private.ids[NAME]}/0")
    assert "stay=1" in stays.headers["Location"]


def test_undo_brings_back_what_was_said_before(page: Client, private: Screened) -> None:
    object_id = private.ids[NAME]
    page.decide(object_id, "accept", note="first")
    page.decide(object_id, "reject", note="second")
    assert counted(private) == [(object_id, 0, "ada", "reject")]
    answer = page.post("/undo", {})
    assert answer.headers["Location"].startswith(f"{page.root}/slice/{object_id}/0")
    (row,) = decisions(LocalOutput(private.output)).to_pylist()
    assert (row["decision"], row["note"]) == ("accept", "first")
    page.post("/undo", {})
    assert counted(private) == []
    assert len(history(LocalOutput(private.output))) == 4
    nothing = page.post("/undo", {})
    assert nothing.status == 400
    assert "nothing to undo" in nothing.text


def test_a_decision_can_be_withdrawn_later_and_that_undone(private: Screened) -> None:
    object_id = private.ids[NAME]
    with served(private.output, private.private) as page:
        page.decide(object_id, "accept")
    with served(private.output, private.private) as page:
        assert "Withdraw my decision" in page.get(f"/slice/{object_id}/0").text
        page.decide(object_id, "withdrawn")
        assert counted(private) == []
        page.post("/undo", {})
        assert counted(private) == [(object_id, 0, "ada", "accept")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "maybe"}, "decision is &#39;maybe&#39;: one of accept, reject, unsure, withdrawn"),
        ({"threshold": "high"}, "threshold is &#39;high&#39;"),
        ({"threshold": "nan"}, "threshold is nan"),
        ({"index": "x"}, "slice_index is &#39;x&#39;"),
        ({"note": "x" * 2001}, "note has 2001 characters"),
        ({"object_id": "nobody"}, "no slice 1 of object nobody"),
        ({"note": "x" * 70_000}, "a form of more than 65536 bytes"),
    ],
)
def test_what_cannot_be_decided_is_one_line_and_not_written(
    page: Client, private: Screened, fields: dict[str, Any], message: str
) -> None:
    answer = page.decide(**({"object_id": private.ids[NAME], "kind": "accept"} | fields))
    assert answer.status in (400, 404, 413)
    assert message in answer.text
    assert len(history(LocalOutput(private.output))) == 0


def test_two_reviewers_at_once_lose_nothing_and_see_each_other(private: Screened) -> None:
    """Two servers on one output, several requests at once to each."""
    slices = [(private.ids["ward/head.nii"], index) for index in range(12)]
    with (
        served(private.output, private.private, "ada") as ada,
        served(private.output, private.private, "bob") as bob,
    ):
        start = threading.Barrier(4)

        def decide(client: Client, kind: str, own: list[tuple[str, int]]) -> None:
            start.wait()
            for object_id, index in own:
                assert client.decide(object_id, kind, index).status == 303

        jobs = [(ada, "accept", slices[::2]), (ada, "accept", slices[1::2]),
                (bob, "reject", slices[::2]), (bob, "reject", slices[1::2])]  # fmt: skip
        threads = [threading.Thread(target=decide, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {(*one, *who) for one in slices for who in (("ada", "accept"), ("bob", "reject"))}
        assert set(counted(private)) == expected
        for client in (ada, bob):
            assert client.get("/slices?decision=disputed").text.count('class="card"') == len(slices)


def test_a_clock_set_back_does_not_bury_a_decision(tmp_path: Path) -> None:
    output, key = LocalOutput(tmp_path), SliceKey("a", 0, "f")
    later = datetime.now(UTC) + timedelta(days=2)
    append(output, [Decision("a", 0, "f", DecisionKind.ACCEPT, "ada", later, 0.5)])
    book = DecisionLog(output, "ada")
    book.refresh()
    book.decide(key, DecisionKind.REJECT, "", 0.5)
    assert [row["decision"] for row in decisions(output).to_pylist()] == ["reject"]
    assert book.mine(key) is not None


@pytest.mark.integration
def test_a_killed_page_keeps_every_decision_that_was_answered(private: Screened) -> None:
    """kill -9 while forms arrive: what was answered is there, and nothing is half there."""
    answered: list[int] = []

    def decide_all(client: Client) -> None:
        for index in range(18):
            try:
                if client.decide(private.ids["ward/head.nii"], "accept", index).status == 303:
                    answered.append(index)
            except OSError:
                return
            if len(answered) == 6:
                enough.set()

    enough = threading.Event()
    process, client = started(private)
    thread = threading.Thread(target=decide_all, args=(client,))
    thread.start()
    assert enough.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(120)
    thread.join()
    kept = {index for _, index, _, _ in counted(private)}
    assert set(answered) <= kept
    assert len(kept) <= len(answered) + 1
    with served(private.output, private.private) as again:
        assert again.get("/slices?decision=accept").text.count('class="card"') == len(kept)


def started(screened: Screened) -> tuple[subprocess.Popen[str], Client]:
    """Start the command; return its process and a client that it let in."""
    command = [COMMAND, "review", screened.output, "--private-dir", screened.private, "--reviewer", "ada"]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    found = re.fullmatch(r"Review page: http://127\.0\.0\.1:(\d+)/\?token=(\S+)\n", process.stdout.readline())
    assert found
    return process, Client(int(found[1]), found[2]).entered()
