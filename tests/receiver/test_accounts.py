"""The API, the door and the commands where there are several accounts, each with a Swiftia of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.serving import make_server

from receiver.app import create_app
from receiver.cli import cli
from workers import keys
from workers.drain import Drain
from workers.errors import CredentialsRefused, InvalidSettings, UpstreamUnavailable
from workers.exchanges import Answer
from workers.records import Callback
from workers.sandbox import Sandbox, SandboxConfig
from workers.seats import WAITING_OF_ONE
from workers.services import Services
from workers.settings import Settings
from workers.window import FAULTS
from workers.wiring import build

NAMES = ("acme", "beta")
ORDER = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk"}
WHERE = r"the accounts here are acme, beta"


@pytest.fixture
def peers() -> Iterator[dict[str, Sandbox]]:
    made = {name: Sandbox(SandboxConfig(port=0, seed=name, job_seconds=600, never=1.0)).start() for name in NAMES}
    yield made
    for peer in made.values():
        peer.stop()


@pytest.fixture
def several(env: dict[str, str], peers: dict[str, Sandbox], tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Write a file of accounts and give the environment with it."""

    def write(*names: str, rules: str = "") -> dict[str, str]:
        path = tmp_path / "accounts.toml"
        shared = 'key = "sandbox-key"\nrate_limit = "5/1s"'
        tables = [f'[{name}]\n{shared}\nbase_url = "{peers.get(name, peers["acme"]).url}"' for name in names]
        path.write_text("\n".join([*tables, rules]))
        changed = {**env, "SWIFTIA_ACCOUNTS": str(path)}
        del changed["SWIFTIA_API_KEY"]
        return changed

    return write


@pytest.fixture
def services_of(several: Any, redis: Any) -> Callable[..., Services]:
    return lambda *names, **more: build(Settings.from_env(several(*names, **more)), redis)


@pytest.fixture
def services(services_of: Callable[..., Services]) -> Services:
    return services_of(*NAMES)


@pytest.fixture
def api(services: Services, admin_of: Callable[..., FlaskClient]) -> FlaskClient:
    return admin_of(create_app(services))


def path_of(url: str) -> str:
    return url.removeprefix("https://hooks.example.org")


# Submitting


def test_a_job_goes_to_the_account_it_names(api, peers):
    answer = api.post("/api/jobs", json={**ORDER, "account": "beta"})
    assert (answer.status_code, answer.json["account"]) == (201, "beta")
    assert list(peers["beta"].books()["jobs"]) == [answer.json["id"]]
    assert peers["acme"].books()["jobs"] == {}
    assert "account" not in json.dumps(peers["beta"].books()["jobs"])
    assert [job["account"] for job in api.get("/api/jobs").json["jobs"]] == ["beta"]


@pytest.mark.parametrize(
    ("account", "words"),
    [(None, WHERE), ("", "1 to 32 of"), ("gone", WHERE), (7, "1 to 32 of"), ("Acme", "1 to 32 of")],
)
@pytest.mark.parametrize("route", ["/api/jobs", "/api/callbacks", "shared", "PUT"])
def test_which_is_meant_has_to_be_said(api, redis, account, words, route):
    body = {} if account is None else {"account": account}
    match route:
        case "PUT":
            answer = api.put("/api/jobs/job_1", json=body)
        case "shared":
            answer = api.post("/api/callbacks", json={**body, "shared": True})
        case _:
            answer = api.post(route, json={**body, **(ORDER if route == "/api/jobs" else {})})
    assert answer.status_code == 400
    assert words in answer.json["detail"]
    assert redis.dbsize() == 0


def test_with_a_default_it_may_be_left_out(services_of, admin_of):
    api = admin_of(create_app(services_of("beta", "default")))
    assert api.post("/api/jobs", json=ORDER).json["account"] == "default"
    assert api.put("/api/jobs/job_1", json={}).json["account"] == "default"
    assert api.put("/api/jobs/job_2", json={"account": "beta"}).json["account"] == "beta"
    assert api.put("/api/jobs/job_2", json={}).json["account"] == "beta"


def test_the_rules_are_the_accounts_own(services_of, admin_of):
    api = admin_of(create_app(services_of(*NAMES, rules="[beta.render.VideoShorts]\nshorts = 1\npreset = 'VIRAL'")))
    services = services_of(*NAMES, rules="[beta.render.VideoShorts]\nshorts = 1\npreset = 'VIRAL'")
    assert services.upstreams.of("beta").rules["VideoShorts"].shorts == 1
    assert services.upstreams.of("acme").rules == {}
    assert api.post("/api/jobs", json={**ORDER, "account": "beta", "render": {"shorts": 2}}).status_code == 201


def test_the_same_key_for_another_account_is_another_submission(api):
    def send(account: str) -> int:
        body = {**ORDER, "account": account}
        return int(api.post("/api/jobs", json=body, headers={"Idempotency-Key": "one"}).status_code)

    assert [send("beta"), send("beta"), send("acme")] == [201, 201, 422]


def test_an_account_that_does_not_answer_leaves_room_for_the_others(services, api, peers, eventually):
    peers["acme"].configure(slow=1.0, slow_seconds=5.0)

    def send() -> None:
        api.post("/api/jobs", json={**ORDER, "account": "acme"})

    threads = [threading.Thread(target=send) for _ in range(WAITING_OF_ONE)]
    for thread in threads:
        thread.start()
    eventually(lambda: services.redis.zcard("sr:busy@acme") == WAITING_OF_ONE)
    assert api.post("/api/jobs", json={**ORDER, "account": "acme"}).status_code == 429
    assert api.post("/api/jobs", json={**ORDER, "account": "beta"}).status_code == 201
    for thread in threads:
        thread.join()


def test_without_a_file_an_account_is_a_mistake(build_services, admin_of, redis):
    api = admin_of(create_app(build_services()))
    answer = api.post("/api/jobs", json={**ORDER, "account": "acme"})
    assert answer.status_code == 400
    assert "SWIFTIA_ACCOUNTS" in answer.json["detail"]
    assert redis.dbsize() == 0


# Callbacks and jobs of elsewhere


def test_a_callback_url_knows_whose_it_is(api, client_of):
    made = api.post("/api/callbacks", json={"account": "beta"}).json
    assert client_of.post(path_of(made["url"]), json={"id": "job_1"}).status_code == 202
    assert api.get("/api/jobs/job_1").json["account"] == "beta"


@pytest.fixture
def client_of(services: Services) -> FlaskClient:
    """Knock as anybody."""
    return create_app(services).test_client()


def test_each_account_has_a_shared_url_and_what_contradicts_is_said_and_not_heeded(api, client_of, services):
    urls = {name: api.post("/api/callbacks", json={"shared": True, "account": name}).json["url"] for name in NAMES}
    assert len(set(urls.values())) == 2
    with structlog.testing.capture_logs() as logs:
        for name in ("beta", "acme"):
            assert client_of.post(path_of(urls[name]), json={"id": "job_1", "by": name}).status_code == 202
    told = [entry for entry in logs if entry["event"] == "callback.other_account"]
    assert [(entry["job"], entry["account"]) for entry in told] == [("job_1", "acme")]
    job = api.get("/api/jobs/job_1").json
    assert job["account"] == "beta"
    assert [event["account"] for event in job["timeline"] if event["event"] == "account.ignored"] == ["acme"]
    assert services.redis.hget("sr:job:job_1", "class") == b"fetch@beta"


def test_what_waited_in_the_spool_is_its_accounts_too(api, services):
    meta = {"hint": "job_1", "account": "beta"}
    services.intake.spool.keep(Callback(receipt="rc", ref="", job_id="job_1", meta=meta, body=b"{}"))
    assert Drain(services.intake).turn() == 1
    assert api.get("/api/jobs/job_1").json["account"] == "beta"


def test_whoever_contradicts_by_hand_is_told(api):
    assert api.put("/api/jobs/job_1", json={"account": "beta"}).status_code == 201
    answer = api.put("/api/jobs/job_1", json={"account": "acme"})
    assert answer.status_code == 409
    assert "beta" in answer.json["detail"]
    ref = api.post("/api/callbacks", json={"account": "acme"}).json["ref"]
    assert api.put("/api/jobs/job_1", json={"ref": ref}).status_code == 409
    assert api.put("/api/jobs/job_1", json={}).json["account"] == "beta"
    assert api.put("/api/jobs/job_2", json={"ref": ref}).json["account"] == "acme"


def test_a_job_without_an_account_shows_none(services, api):
    services.ledger.link("", "job_1", first_ms=0, by="test")
    assert "account" not in api.get("/api/jobs/job_1").json
    assert "account" not in api.get("/api/jobs").json["jobs"][0]


# The budgets


def test_each_budget_is_told(api, services):
    services.upstreams.of("beta").budget.take("submit", "a-test")
    found = api.get("/api/budget").json
    own = found.pop("accounts")
    assert set(own) == {"acme", "beta"}
    assert found == own["acme"]
    assert {name: budget["used"] for name, budget in own.items()} == {"acme": 0, "beta": 1}
    assert api.get("/api/budget?account=beta").json == own["beta"]


@pytest.mark.parametrize("name", ["gone", "ACME"])
def test_the_budget_of_an_account_that_is_not_there(api, name):
    answer = api.get("/api/budget", query_string={"account": name})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert "the accounts here are acme, beta" in answer.json["detail"]


def test_of_jobs_that_name_none_the_budget_comes_first(services_of, admin_of):
    services = services_of("acme", rules="[default]\nkey = 'another-key'")
    services.upstreams.of("").budget.take("submit", "a-test")
    found = admin_of(create_app(services)).get("/api/budget").json
    assert (found["used"], found["accounts"]["default"]["used"], found["accounts"]["acme"]["used"]) == (1, 1, 0)


def test_the_account_of_the_one_key_is_shown_as_the_default(several, redis, admin_of):
    services = build(Settings.from_env({**several("acme"), "SWIFTIA_API_KEY": "another-key"}), redis)
    services.upstreams.of("").budget.take("submit", "a-test")
    api = admin_of(create_app(services))
    assert set(api.get("/api/budget").json["accounts"]) == {"default", "acme"}
    assert api.get("/api/budget?account=default").json["used"] == api.get("/api/budget").json["used"] == 1
    assert 'budget_used{account="default"} 1.0' in api.get("/metrics").text


def test_one_key_has_one_budget_and_no_accounts(build_services, admin_of):
    api = admin_of(create_app(build_services()))
    assert "accounts" not in api.get("/api/budget").json
    assert api.get("/api/budget?account=default").json == api.get("/api/budget").json
    assert api.get("/api/budget?account=acme").status_code == 400
    assert "account=" not in api.get("/metrics").text


def test_metrics_of_a_budget_have_its_account(api, services):
    services.upstreams.of("beta").budget.take("submit", "a-test")
    with pytest.raises(CredentialsRefused), services.upstreams.of("acme").budget.slot("watch", "a-test"):
        raise CredentialsRefused("no")
    of_budgets = {"credentials_ok", "breaker_open", "upstream_refused", "due", "due_overdue_seconds"}
    told: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(api.get("/metrics").text):
        name = family.name.removeprefix("swiftia_receiver_")
        labels = {tuple(sample.labels) for sample in family.samples}
        assert all(
            (label[:1] == ("account",)) == (name.startswith("budget_") or name in of_budgets) for label in labels
        )
        told[name] = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    assert told["credentials_ok"] == {("acme",): 0, ("beta",): 1}
    assert told["budget_used"] == {("acme",): 1, ("beta",): 1}
    slots = {labels: count for labels, count in told["budget_slots"].items() if count}
    assert slots == {("acme", "watch"): 1, ("beta", "submit"): 1}


def test_what_is_due_and_what_was_answered_have_their_account(api, services, redis):
    seconds, _ = redis.time()
    redis.zadd(keys.due("watch@acme"), {"a/1": (seconds - 400) * 1000, "a/2": (seconds - 10) * 1000})
    redis.zadd(keys.due("watch@beta"), {"b/1": (seconds - 90) * 1000})
    redis.zadd(keys.due("keep"), {"b/2": (seconds - 50) * 1000})
    for name, status in (("acme", 200), ("acme", 200), ("acme", None), ("beta", 503)):
        services.upstreams.of(name).budget.observe(Answer("GET /api/render/{id}", status, {}, 0.2))
    text = api.get("/metrics").text
    told = {
        (sample.name.removeprefix("swiftia_receiver_"), *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert told["due", ("account", "acme"), ("class", "watch")] == 2
    assert told["due", ("account", "beta"), ("class", "watch")] == 1
    assert told["due", ("account", ""), ("class", "keep")] == 1
    late = {name: told["due_overdue_seconds", ("account", name), ("class", "watch")] for name in NAMES}
    assert late == {"acme": pytest.approx(400, abs=20), "beta": pytest.approx(90, abs=20)}
    answers = {labels[1:]: value for labels, value in told.items() if labels[0] == "upstream_requests_total"}
    route = ("route", "GET /api/render/{id}")
    assert answers == {
        (("account", "acme"), ("code", "200"), route): 2,
        (("account", "acme"), ("code", "none"), route): 1,
        (("account", "beta"), ("code", "503"), route): 1,
    }
    counted = {account: told["upstream_request_seconds_count", ("account", account), route] for account in NAMES}
    assert counted == {"acme": 3, "beta": 1}
    assert told["upstream_request_seconds_sum", ("account", "beta"), route] == 0.2
    assert told["upstream_request_seconds_bucket", ("account", "beta"), ("le", "0.1"), route] == 0
    assert told["upstream_request_seconds_bucket", ("account", "beta"), ("le", "0.25"), route] == 1


# Commands


@pytest.fixture
def run(services: Services, several: Any) -> Iterator[Callable[..., Result]]:
    server = make_server("127.0.0.1", 0, create_app(services), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    env = {**several(*NAMES), "PORT": str(server.port), "PUBLIC_URL": ""}
    yield lambda *words: CliRunner().invoke(cli, list(words), obj=env, catch_exceptions=False)
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_commands_name_accounts(run, services):
    refused = run("submit", "dQw4w9WgXcQ")
    assert refused.exit_code == 1
    assert "the accounts here are acme, beta" in refused.stderr
    job = run("submit", "dQw4w9WgXcQ", "--account", "beta").stdout.split()[-1]  # behind the log of this same process
    assert ["account", "beta"] in [line.split() for line in run("show", job).stdout.splitlines()]
    head, line = run("jobs").stdout.splitlines()[0], run("jobs").stdout.splitlines()[-1]
    assert head.split()[-1].lower() == "account"
    assert line.split()[-1] == "beta"
    url = run("callback-url", "--shared", "--account", "acme").stdout.strip()
    assert url.endswith(services.links.shared_url("acme").rpartition("/")[2])
    assert run("callback-url").exit_code == 1


def test_check_tries_each_key_and_names_who_is_missing(run, services, peers):
    peers["beta"].configure(api_key="another")
    services.ledger.link("", "job_1", first_ms=0, by="test", account="gone")
    services.ledger.link("", "job_2", first_ms=0, by="test")
    lines = run("check").stdout.splitlines()
    told = {line.split("  ")[0].strip() + " " + line[6:].split("  ")[0].strip() for line in lines}
    assert {"ok Swiftia acme", "bad Swiftia beta", "bad accounts", "ok budget acme", "bad budget beta"} <= told
    assert any("of 5 requests in 1 s are used" in line for line in lines if "budget acme" in line)
    bad = [line for line in lines if line.startswith("bad") and "beta" in line]
    assert len(bad) == 2
    assert all("set a valid key for [beta] in SWIFTIA_ACCOUNTS" in line for line in bad)
    waiting = [line for line in lines if "accounts" in line and line.startswith("bad")]
    assert len(waiting) == 2
    assert "the account gone" in waiting[1]
    assert "names no account" in waiting[0]


def test_check_names_the_account_whose_breaker_is_open(run, services, peers):
    peers["beta"].configure(server_errors=1.0)
    budget = services.upstreams.of("beta").budget
    for n in range(FAULTS):
        with pytest.raises(UpstreamUnavailable), budget.slot("submit", f"test-{n}"):
            raise UpstreamUnavailable("no answer", sent=False)
    lines = run("check").stdout.splitlines()
    assert any(line.startswith("ok    budget acme") for line in lines)
    (told,) = [line for line in lines if "budget beta" in line]
    assert told.startswith("warn")
    assert "the breaker is open" in told
    assert "of 5 requests in 1 s" in told


def test_a_file_that_cannot_be_used_keeps_everything_from_starting(several):
    env = several("acme", rules="[x]\nkey = 'Zx9 broken'")
    command = [sys.executable, "-m", "receiver", "up"]
    result = subprocess.run(command, env={**os.environ, **env}, capture_output=True, timeout=60, check=False)  # noqa: S603 - our own command
    assert result.returncode == 2
    assert b"[x] key: is empty or has signs" in result.stderr
    assert b"Zx9" not in result.stdout + result.stderr


def test_a_key_of_an_account_shows_nowhere(several, redis):
    env = several("acme", rules="[x]\nkey = 'Zx9-key'\nbase_url='http://127.0.0.1:1'")
    services = build(Settings.from_env(env), redis)
    assert "Zx9" not in repr(services)
    with pytest.raises(InvalidSettings) as caught:
        build(Settings.from_env({**env, "SWIFTIA_ACCOUNTS": "/nowhere"}), redis)
    assert "Zx9" not in str(caught.value)
