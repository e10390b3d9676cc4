"""Nobody gets in without the token, and no other page writes."""

from pathlib import Path

import pytest

from s2sw.pipeline.review.access_gate import COOKIE, HEADERS, POLICY
from tests.pipeline.review.serving import Client
from tests.support.screened import Screened

PATHS = (
    "/", "/slices", "/objects", "/static/review.css", "/slice/x/0", "/map/x/0", "/volume/x/0",
    "/picture/r/x/0", "/facts/r/x/0", "/values/r/x/0", "/nowhere",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_nothing_is_answered(page: Client, path: str) -> None:
    for session in ("", "wrong", page.session[:-1], page.token):
        answer = page.stranger(session).get(path)
        assert answer.status == 403
        assert answer.text == "s2sw review: open the address that s2sw review printed, with its token\n"


def test_the_token_is_exchanged_for_a_cookie_that_scripts_cannot_read(page: Client) -> None:
    outside = page.stranger(root="")
    answers = [outside.get(f"/?token={page.token}") for _ in range(2)]
    sessions = set()
    for answer in answers:
        assert (answer.status, answer.headers["Location"]) == (303, f"{page.root}/")
        cookie, *flags = answer.headers["Set-Cookie"].split("; ")
        assert {flag.lower() for flag in flags} == {
            "httponly",
            "samesite=strict",
            f"path={page.root.lower()}",
        }
        name, _, session = cookie.partition("=")
        assert name == COOKIE
        assert page.token not in session
        sessions.add(session)
    assert len(sessions) == 2


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_wrong_token_gives_no_cookie(page: Client, token: str) -> None:
    answer = page.stranger(root="").get(f"/?token={token.encode().hex()}")
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


def test_a_foreign_name_for_this_machine_is_refused(page: Client) -> None:
    for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1", f"127.0.0.1:{page.port + 1}", ""):
        assert page.get("/", Host=host).status == 403
        assert page.stranger(root="").get(f"/?token={page.token}", Host=host).status == 403
    assert page.get("/", Host=f"localhost:{page.port}").status == 200


def test_another_page_cannot_decide(page: Client, private: Screened) -> None:
    object_id = private.ids["ward/ct.dcm"]
    fields = {"object_id": object_id, "slice_index": 0, "decision": "accept", "threshold": 0.5}
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{page.port + 1}", ""):
        assert page.post("/decide", fields, Origin=origin).status == 403
        assert page.post("/undo", {}, Origin=origin).status == 403
    assert not (private.output / "decisions").exists()
    assert page.post("/decide", fields).status == 303


def test_pages_cannot_be_written_by_reading(page: Client) -> None:
    assert page.get("/decide").status == 405
    assert page.get("/undo").status == 405


@pytest.mark.parametrize("path", [*PATHS, "/?low=x"])
def test_every_answer_forbids_scripts_of_others_and_keeping(page: Client, path: str) -> None:
    for client in (page, page.stranger()):
        headers = client.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS


def test_the_policy_allows_nothing_inline_and_nobody_else() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) == {"'self'", "'none'"}


def test_static_files_stay_below_their_folder(page: Client) -> None:
    for path in (
        "/static/../gate.py",
        "/static/..%2fgate.py",
        "/static/%2e%2e/gate.py",
        "/static//etc/passwd",
    ):
        assert page.get(path).status == 404
    assert page.get("/static/htmx-2.0.11.min.js").status == 200


def test_no_template_has_scripts_or_styles_of_its_own() -> None:
    """The policy would stop them: a handler in an attribute would be a control that does nothing."""
    templates = Path("pipeline/review/templates")
    assert templates.is_dir()
    for path in templates.glob("*.html"):
        text = path.read_text()
        assert " on" not in "".join(
            f" {part}" for part in text.split() if part.startswith("on") and "=" in part
        )
        assert " style=" not in text
        assert "<style" not in text
        assert "javascript:" not in text


def test_the_cookie_counts_below_the_root_alone(page: Client) -> None:
    for root in ("", "/x", page.root[:-1], f"{page.root}x"):
        assert page.stranger(page.session, root).get("/").status == 403
    assert page.stranger("", "").get("/").status == 403
    assert page.get("/").status == 200


def test_cookies_that_others_set_are_passed_over(page: Client) -> None:
    for cookie in (f"{COOKIE}=evil; {COOKIE}={page.session}", f"a=b; {COOKIE}={page.session}; {COOKIE}="):
        assert page.stranger().get("/", Cookie=cookie).status == 200
    for cookie in (f"{COOKIE}=evil", f"{COOKIE}", "=", ";;", f"x{COOKIE}={page.session}", "\xff=\xff"):
        assert page.stranger().get("/", Cookie=cookie).status == 403


def test_what_other_pages_embed_is_not_answered(page: Client) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert page.get("/static/review.css", **headers).status == 403
        assert page.get("/", **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}).status == 200
    assert page.get("/", **{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}).status == 200
