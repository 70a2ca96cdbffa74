"""The commands over the real API; only Swiftia is the sandbox, and no worker runs."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner, Result

from receiver.cli import COMMANDS, cli
from receiver.machine import check_port
from workers import keys
from workers.identifiers import JobSubject
from workers.sandbox import Sandbox, SandboxConfig
from workers.services import Services
from workers.uploads import Stock

Run = Callable[..., Result]


def invoke(env: dict[str, str]) -> Run:
    return lambda *words, **options: CliRunner().invoke(cli, list(words), obj=env, catch_exceptions=False, **options)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(port=0, rate_limit="1000/1s", job_seconds=600, never=1.0)) as running:
        yield running


@pytest.fixture
def service(sandbox: Sandbox, serve: Callable[..., Services]) -> Services:
    return serve(SWIFTIA_BASE_URL=sandbox.url, SWIFTIA_API_KEY="sandbox-key")


@pytest.fixture
def run(service: Services, env: dict[str, str]) -> Run:
    del service
    return invoke(env)


def submitted(run: Run, *words: str) -> str:
    result = run("submit", "dQw4w9WgXcQ", *words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[-1]  # the service, which runs in this process too, logs there


def test_submit_prints_the_id_and_nothing_else(run, sandbox):
    job_id = submitted(run, "--metadata", "team=red", "--option", "anything.goes=1")
    assert list(sandbox.books()["jobs"]) == [job_id]
    assert json.loads(run("show", job_id, "--json").stdout)["metadata"] == {"team": "red"}


def test_what_is_not_known_is_noted(run):
    result = run("submit", "abcdefghijk", "--option", "anything.goes=1")
    assert result.stderr.startswith("note: options.'anything' is not known here")


def test_a_dry_run_prints_what_would_be_sent(run, sandbox):
    result = run("submit", "abcdefghijk", "--dry-run", "--wait")
    sent = json.loads(result.stdout)
    assert (sent["youtubeVideoId"], sent["webhook"].rpartition("/")[2]) == ("abcdefghijk", "<token>")
    assert "nothing was submitted" in result.stderr
    assert sandbox.books()["jobs"] == {}


def test_the_same_idempotency_key_submits_once(run, sandbox):
    ids = {submitted(run, "--idempotency-key", "order-1") for _ in range(2)}
    assert len(ids) == 1
    assert len(sandbox.books()["jobs"]) == 1
    result = run("submit", "another-one", "--idempotency-key", "order-1")
    assert result.exit_code == 1
    assert "Idempotency-Key was used for another submission" in result.stderr


def test_a_queued_submission_goes_by_its_ref(run, sandbox):
    ref = submitted(run, "--async")
    assert not sandbox.books()["jobs"]
    assert f"{ref} waiting" in run("show", ref).stdout


def test_an_id_that_begins_with_a_dash_goes_behind_two(run):
    assert run("submit", "--", "-dQw4w9WgXc").exit_code == 0


def test_what_swiftia_refuses_is_told_with_the_remedy(run):
    result = run("submit", "no-credit-x")
    assert result.exit_code == 1
    assert "Too little credit at Swiftia" in result.stderr
    assert "buy credits" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("state", ["parked", "failed", "finished"])
def test_wait_ends_as_the_job_does(run, service, redis, eventually, state):
    def settle() -> None:
        job_id = eventually(
            lambda: next((one for one in redis.zrange("sr:jobs:waiting", 0, -1) if b":" not in one), b"")
        )
        end(service, job_id.decode(), state)

    worker = threading.Thread(target=settle)
    worker.start()
    result = run("submit", "dQw4w9WgXcQ", "--wait")
    worker.join()
    assert result.exit_code == (0 if state == "finished" else 1)
    assert f" {state}" in result.stdout.splitlines()[-1]
    assert f" {state} " in run("jobs").stdout


def test_jobs_are_listed_over_pages_as_many_as_asked_for(run, service):
    for number in range(130):
        service.ledger.link("", f"job-{number}", first_ms=60_000, by="watch")
    assert len(run("jobs", "--limit", "125").stdout.splitlines()) == 126
    assert len(run("jobs", "--limit", "500").stdout.splitlines()) == 131
    assert run("jobs", "--state", "parked").stdout == "no jobs\n"


def test_retry_sets_parked_jobs_going(run, service, redis):
    first = park(service, "job-1")
    park(service, "job-2")
    park(service, "job-3")
    assert run("retry", first).stdout.startswith("1 set going")
    assert run("retry", "--all-parked").stdout.startswith("2 set going")
    assert not redis.zcard("sr:jobs:parked")
    again = run("retry", first)
    assert again.exit_code == 1
    assert "nothing of it is parked or failed" in again.stderr


def park(service: Services, job_id: str) -> str:
    service.ledger.link("", job_id, first_ms=0, by="watch")
    end(service, job_id, "parked")
    return job_id


def end(service: Services, job_id: str, state: str) -> None:
    record = service.ledger.claim(JobSubject(job_id), "fetch")
    assert record is not None
    assert service.ledger.move(record, state, reason="of tests")


@pytest.mark.parametrize("words", [["retry"], ["retry", "j1", "--all-parked"]])
def test_retry_wants_one_or_all(run, words):
    assert run(*words).exit_code == 2


def test_erase_wants_to_be_sure(run):
    job_id = submitted(run)
    assert "nothing is erased without --yes" in run("erase", job_id).stderr
    assert run("erase", job_id, "--yes").stdout.splitlines()[-1] == f"erased {job_id}"
    gone = run("show", job_id)
    assert gone.exit_code == 1
    assert "no job is known here" in gone.stderr


def test_show_tells_all_of_it(run):
    shown = run("show", submitted(run)).stdout
    assert "waiting" in shown
    assert "VideoShorts" in shown
    assert "known" in shown or "accepted" in shown


def test_callback_urls_are_fresh_and_the_shared_one_is_not(run):
    urls = {run("callback-url").stdout for _ in range(2)}
    shared = {run("callback-url", "--shared").stdout for _ in range(2)}
    assert (len(urls), len(shared)) == (2, 1)
    assert all("/webhooks/swiftia/" in url for url in urls | shared)


def test_check_finds_what_is_wrong_and_how_to_mend_it(run):
    result = run("check")
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert [line.split()[0] for line in lines if "clock" in line] == ["bad", "bad"]
    assert any(line.startswith("bad") and "worker --lane files" in line for line in lines)
    for good in ("Redis", "durability", "web", "Swiftia", "budget", "public URL", "storage"):
        assert any(line.startswith(f"ok    {good}") for line in lines), good


def test_check_warns_of_a_server_that_keeps_jobs_in_more_memory_than_it_must(service, run):
    before = service.redis.config_get("hash-max-listpack-value")["hash-max-listpack-value"]
    service.redis.config_set("hash-max-listpack-value", 64)
    try:
        lines = run("check").stdout.splitlines()
    finally:
        service.redis.config_set("hash-max-listpack-value", before)
    assert any(line.startswith("warn  memory") and "hash-max-listpack-value is 64" in line for line in lines)
    assert not any("memory" in line for line in run("check").stdout.splitlines())


def test_check_warns_of_what_is_archived_soon_and_of_a_full_storage(service, run):
    now = service.redis.time()[0]
    service.redis.zadd("sr:jobs:parked", {"job_1": (now - 85 * 86_400) * 1000})
    service.redis.set(keys.storage(""), Stock(45.0, 50.0, 90.0, 12, now - 3600.0).as_json())
    lines = run("check").stdout.splitlines()
    assert any(line.startswith("warn  archive") and "1 jobs have not ended" in line for line in lines)
    assert any(line.startswith("ok    Swiftia") and "0 of 1000 MB" in line for line in lines), "it was asked just now"


def test_check_tells_of_the_storage_as_it_was_seen(service, run, env):
    service.redis.set(keys.storage(""), Stock(45.0, 50.0, 90.0, 12, service.redis.time()[0] - 3600.0).as_json())
    env["SWIFTIA_API_KEY"] = "another-key"
    lines = run("check").stdout.splitlines()
    assert any(line.startswith("warn  Swiftia") and "45 of 50 MB of the storage were used 36" in line for line in lines)


def test_check_says_when_the_key_is_refused(run, env):
    env["SWIFTIA_API_KEY"] = "another-key"
    result = run("check")
    lines = result.stdout.splitlines()
    assert any(line.startswith("bad   Swiftia") and "API key" in line for line in lines)
    assert any(line.startswith("bad   budget") and "refuses the key" in line for line in lines)


def test_check_does_not_let_swiftia_knock_at_loopback(env):
    env.update({"SWIFTIA_BASE_URL": "https://swiftia.invalid", "PUBLIC_URL": "http://192.168.1.5:8000"})
    result = invoke(env)("check")
    assert any("Swiftia cannot reach http://192.168.1.5" in line for line in result.stdout.splitlines())


def test_another_token_is_not_taken(run, env):
    env["ADMIN_TOKEN"] = "some-other-admin-token"
    result = run("jobs")
    assert result.exit_code == 1
    assert "does not take this admin token" in result.stderr


def test_where_nothing_runs_it_says_how_to_start_it(env, free_port):
    result = invoke({**env, "PORT": str(free_port)})("jobs")
    assert result.exit_code == 4
    assert "is it running? Start it with `swiftia-receiver up`" in result.stderr


@pytest.fixture
def free_port() -> int:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    check_port("127.0.0.1", server.server_port, "PORT")
    return server.server_port


class Strange(BaseHTTPRequestHandler):
    """Some other server, which answers in a way of its own."""

    status, body = 502, b"<html>\x1b[2JBad gateway"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None: ...


class Rambling(Strange):
    status, body = 200, b"[" * 100_000


@pytest.mark.parametrize(("handler", "words"), [(Strange, "is that swiftia-receiver?"), (Rambling, "JSON document")])
def test_an_answer_of_something_else_is_told_in_words(env, handler, words):
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        result = invoke(env)("jobs", "--url", f"http://127.0.0.1:{server.server_port}")
    assert result.exit_code == 1
    assert words in result.stderr
    assert "\x1b" not in result.output


def test_without_a_token_it_says_where_one_would_be(tmp_path):
    result = invoke({"DATA_DIR": str(tmp_path)})("jobs")
    assert result.exit_code == 2
    assert f"{tmp_path}/admin-token does not exist" in result.stderr


@pytest.mark.parametrize("command", ["up", "web", "worker", "clock", "sandbox", "jobs", "check"])
def test_every_problem_of_the_settings_is_listed(command, tmp_path):
    env = {"PORT": "http", "WORKERS": "many", "DATA_DIR": str(tmp_path)}
    result = invoke(env)(command)
    assert result.exit_code == 2
    assert "PORT='http'" in result.stderr
    assert "WORKERS='many'" in result.stderr


@pytest.mark.parametrize(
    "words",
    [["nothing"], ["worker", "--lane", "slow"], ["worker", "--count", "0"], ["submit"], ["jobs", "--state", "open"]],
)
def test_a_command_line_that_cannot_be_used_ends_with_2(words):
    assert invoke({})(*words).exit_code == 2


@pytest.mark.parametrize("words", [["submit", "what?"], ["submit", "dQw4w9WgXcQ", "--option", "x"]])
def test_an_order_that_cannot_be_read_never_leaves(words, env):
    result = invoke({**env, "PORT": "1"})(*words)
    assert result.exit_code == 1
    assert "write for example" in result.stderr or "give a YouTube id" in result.stderr


def test_sandbox_settings_are_checked():
    result = invoke({"SANDBOX_DIALEKT": "g3"})("sandbox")
    assert result.exit_code == 2
    assert "did you mean SANDBOX_DIALECT?" in result.stderr


def test_help_explains_the_exit_codes_and_every_command():
    told = invoke({})("--help").stdout
    assert "the data directory or a port is taken" in told
    assert all(f"  {name} " in told for name in COMMANDS)
    for name in COMMANDS:
        assert invoke({})(name, "--help").exit_code == 0


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "receiver", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("swiftia-receiver")


def test_a_worker_does_not_load_the_web():
    code = (
        "import sys, receiver.service_commands, workers.worker\n"
        "sys.exit(any(name in sys.modules for name in ('flask', 'gunicorn', 'receiver.machine')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - the command is our own
