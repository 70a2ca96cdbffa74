"""The commands for looking in a terminal: over real processes, and offline."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from receiver.cli import cli
from receiver.top_command import drawn, plain
from receiver.watchtower import Budget, Hand, Latest, Sight
from tests.chaos.machine import QUICK, Machine, started
from tests.targets import target
from workers.signing import parse_secret, sign, verify
from workers.tokens import token

KEY, OLD_KEY = "a-callback-key-of-tests", "an-older-key-of-tests"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
REF = "r" * 22


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One ``up`` with three jobs: two finished, one parked."""
    made = started(
        tmp_path_factory.mktemp("terminal") / "machine",
        **QUICK,
        SWIFTIA_RATE_LIMIT="200/1s",
        SANDBOX_SHORTS="1",
        SANDBOX_DIALECT="g3",
    )
    for video, name in (("first-00001", "A strong claim"), ("second-0001", "Weak coffee"), ("private-file", "Parked")):
        made.submit(video, name=name, metadata={"customer": video[:5]})
    made.wait_for(lambda: made.all_settled(3), 60)
    yield made
    made.end()


@pytest.fixture
def run(machine: Machine) -> Callable[..., Result]:
    token_file = machine.folder / "data" / "admin-token"
    env = {"PORT": machine.env["PORT"], "ADMIN_TOKEN": token_file.read_text().strip(), "DATA_DIR": str(machine.folder)}
    return lambda *words: CliRunner().invoke(cli, list(words), obj=env, catch_exceptions=False)


def listed(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["title"] for line in result.stdout.splitlines()]


def test_jobs_are_listed_and_searched(run):
    assert sorted(listed(run("jobs", "--json"))) == ["A strong claim", "Parked", "Weak coffee"]
    assert listed(run("jobs", "strong CLAIM", "--json")) == ["A strong claim"]
    assert listed(run("jobs", "customer=secon", "--json")) == ["Weak coffee"]
    assert listed(run("jobs", "--state", "parked", "--json")) == ["Parked"]
    assert listed(run("jobs", "--metadata", "customer=first", "--function", "VideoShorts", "--json")) == [
        "A strong claim"
    ]
    assert listed(run("jobs", "--until", "2020-01-01", "--json")) == []
    assert "strong claim" in run("jobs", "--state", "finished").stdout
    assert run("jobs", "nowhere to be found").stdout == "no jobs\n"


@pytest.mark.parametrize(
    ("words", "code"), [(("--metadata", "customer"), 2), (("--since", "soon"), 1), (("--ref", "x"), 1)]
)
def test_what_cannot_be_asked_for(run, words, code):
    assert run("jobs", *words).exit_code == code


def test_a_retry_of_all_that_failed_is_counted(run):
    assert run("retry", "--all-failed").stdout.startswith("0 set going again")
    assert run("retry", "--all-failed", "--all-parked").exit_code == 2
    assert run("retry", "--delivery", "1").exit_code == 2


def one_id(run) -> str:
    return str(json.loads(run("jobs", "strong claim", "--json").stdout)["id"])


def test_a_callback_is_replayed_as_it_was_received(run, tmp_path):
    job = one_id(run)
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    with target() as app:
        result = run("replay", job, app.url + "/hook", "--header", "X-Mine: yes", "--sign-with", str(secret))
    assert result.exit_code == 0, result.output
    (got,) = app.received
    document = json.loads(run("show", job, "--json").stdout)
    (callback,) = [one for one in document["callbacks"] if not one["duplicate"]]
    assert (got.path, len(got.body), got.headers["x-mine"]) == ("/hook", callback["size"], "yes")
    assert verify(got.body, got.headers, secrets=[parse_secret(SECRET)], now=int(got.headers["webhook-timestamp"]))
    assert "204" in result.stdout
    assert SECRET not in result.output


def test_a_target_that_refuses_or_is_not_there_is_told(run):
    job = one_id(run)
    with target(lambda _: (409, {})) as app:
        refused = run("replay", job, app.url)
    assert (refused.exit_code, "409" in refused.stdout) == (1, True)
    assert run("replay", job, app.url).exit_code == 4
    assert run("replay", job, "no address").exit_code in (1, 4)
    assert run("replay", job, app.url, "--receipt", "0" * 32).exit_code == 1


def test_top_in_a_pipe_says_how_it_stands_and_ends(machine):
    env = {**machine.env, "DATA_DIR": str(machine.folder / "data")}
    found = subprocess.run(
        [sys.executable, "-P", "-m", "receiver", "top", "--once"],
        env=env,
        cwd=machine.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = {tuple(line.split()[:2]) for line in found.stdout.splitlines() if line}
    assert {("finished", "2"), ("parked", "1"), ("fetch", "0"), ("spool", "0")} <= rows
    assert "upstream" in found.stdout
    assert "takes writes" in found.stdout


def test_who_works_is_told(machine):
    answer = machine.http.get("/api/workers").json()
    assert answer["count"] == len(answer["workers"]) >= 2
    assert {one["lane"] for one in answer["workers"]} == {"upstream", "files"}
    assert set(answer["queued"]) == {"upstream", "files"}


def test_top_of_a_service_that_is_not_there():
    env = {"PORT": "1", "ADMIN_TOKEN": "a-token-of-tests-that-is-long"}
    assert CliRunner().invoke(cli, ["top", "--once"], obj=env).exit_code == 4


HOSTILE = "[red]not markup[/red]"
SIGHT = Sight(
    redis=True,
    jobs={"waiting": 0, "finished": 1_000_000, "parked": 2},
    due={"fetch": 3},
    late_s={"fetch": 61.0},
    budgets=[Budget("acme", 4, 5, 1.0, {"fetch": 2}, 3.0, "limit")],
    hands=[Hand("host 1", "upstream", f"watch {HOSTILE}"), *[Hand(f"host {n}", "files", "") for n in range(20)]],
    queued={"upstream": 1},
    workers=21,
    clock={"upstream": 0.1, "files": None},
    spool=7,
)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_what_is_drawn_shows_it_all_and_takes_no_markup(width):
    console = Console(width=width, height=60, record=True, file=None, force_terminal=True)
    with console.capture() as captured:
        console.print(drawn(SIGHT, [f"12:00:00 job_1 {HOSTILE}"], "http://127.0.0.1:8000"))
    shown = captured.get()
    for word in ("1,000,000", "61 s late", "acme", "4 of 5", "fetch:2", "3 s (limit)", "and 9 more", "never", HOSTILE):
        assert word in shown or width < 80, word


def test_without_redis_what_is_known_is_shown():
    text = plain(Sight(redis=False, spool=7, clock={"upstream": None}))
    assert "away: callbacks go to the spool" in text
    assert "7 callbacks" in text
    assert "LIMIT" not in text


def test_the_latest_are_the_last_and_harmless():
    latest = Latest()
    kept = {"event": "kept", "id": "job\x1b[2J", "render": 2, "state": "kept", "progress": 1.0}
    latest.listen(lambda: [{"event": "reset"}, {**kept, "at": "2026-05-01T12:00:00.000Z"}, {}, "strange"])
    assert latest.last(5) == ["reset", "12:00:00 job\ufffd[2J/2 kept kept 100%"]
    assert latest.last(0) == []


# Offline


def offline(*words: str, stdin: bytes = b"", **env: str) -> Result:
    found = CliRunner().invoke(cli, ["explain-signature", *words], obj=env, input=stdin, catch_exceptions=False)
    assert not [secret for secret in (KEY, OLD_KEY, SECRET, SECRET[6:20]) if secret in found.output]
    return found


def test_a_token_is_explained_by_the_keys_of_the_settings():
    right = offline(token(REF, [OLD_KEY]), CALLBACK_KEYS=f"{KEY},{OLD_KEY}")
    assert (right.exit_code, "made with key 2 of 2" in right.stdout) == (0, True)
    wrong = offline(token(REF, [OLD_KEY]), CALLBACK_KEYS=KEY)
    assert (wrong.exit_code, "unknown key" in wrong.stdout) == (1, True)


def test_the_key_that_was_made_here_is_read_and_none_is_made(tmp_path):
    empty = offline(token(REF, [KEY]), DATA_DIR=str(tmp_path))
    assert (empty.exit_code, "no key to hold it against" in empty.stdout) == (1, True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "callback-key").write_text(KEY + "\n")
    assert offline(token(REF, [KEY]), DATA_DIR=str(tmp_path)).exit_code == 0


def test_a_signature_is_explained_from_files(tmp_path):
    headers = sign(b"body", event_id="evt_1", at=1_800_000_000, secrets=[parse_secret(SECRET)])
    (tmp_path / "headers").write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
    (tmp_path / "secrets").write_text(SECRET + "\n")
    files = ["--headers", str(tmp_path / "headers"), "--secret-file", str(tmp_path / "secrets"), "--body", "-"]
    right = offline(*files, "--at", "1800000000000", stdin=b"body")
    assert (right.exit_code, "the one secret signed it" in right.stdout) == (0, True)
    late = offline(*files, "--at", "1800001000000", stdin=b"body")
    assert (late.exit_code, "1000 s behind our clock" in late.stdout) == (1, True)
    altered = offline(*files, "--at", "1800000000000", stdin=b"body\n")
    assert (altered.exit_code, "without the line end" in altered.stdout) == (1, True)


def test_what_explain_cannot_use():
    assert offline().exit_code == 2
    assert offline("--header", "no colon").exit_code == 1
    assert offline("--body", "nowhere").exit_code == 2
