"""The whole service with secrets that are easy to recognize, and trouble of all kinds.

Then all that it wrote and served is searched for them: logs at debug, metrics, problems, pages, spans. The same run
shows that one id tells a whole story.
"""

import base64
import contextlib
import json
import re
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis

from tests.chaos.machine import Machine, free_port, prepared
from tests.collector import Collector, Told, collector
from tests.quoting import quoting
from tests.targets import Answer, Target, target
from workers.lognames import EVENTS
from workers.sandbox import Sandbox, SandboxConfig
from workers.tokens import token as token_of
from workers.valkey import EmbeddedValkey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KEY, OTHER_KEY = "sk_live_Zx9SwiftiaKey0001", "sk_live_Zx9SwiftiaKey0002"
CALLBACK_KEY = "Zx9CallbackKey-0003-abcdef"
SIGNS, DELIVERS = (base64.b64encode(text).decode() for text in (b"Zx9-signs" * 4, b"Zx9-delivers" * 3))
REDIS, NEXT_REDIS = "Zx9RedisPassword0004", "Zx9RedisPassword0005"
PHONE, PHONE_TOO = "+491709876543", "+49 170 987-6544"
AWS = {"AWS_ACCESS_KEY_ID": "AKIAZX9ACCESSKEY0006", "AWS_SECRET_ACCESS_KEY": "Zx9AwsSecret0007"}
SECRETS = {
    "Swiftia's key": KEY,
    "the key of another account": OTHER_KEY,
    "callback key": CALLBACK_KEY,
    "signing secret": SIGNS,
    "delivery secret": DELIVERS,
    "Redis password": REDIS,
    "next Redis password": NEXT_REDIS,
    "phone": PHONE,
    "its digits": "9876543",
    "another phone": PHONE_TOO,
    "phone of the sandbox": "+15550100",
    "metadata": "Zx9MetadataValue",
    "wrong admin token": "Zx9WrongAdminToken",
    "viewer token": "Zx9ViewerToken-0008",
    "token in a query": "Zx9TokenInQuery",
    "token in the target": "Zx9TokenInTarget",
    "secret in a callback": "Zx9SecretInCallback",
    **{f"S3: {name}": value for name, value in AWS.items()},
}
# A ref and its mac.
TOKEN = re.compile(r"[A-Za-z0-9_-]{22,64}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
SUBMITTED = "the-submission-of-a-story"


@dataclass
class Run:
    """``written``: what the service wrote or served, by where it was found. ``secrets``: those that it made too."""

    machine: Machine
    job: dict[str, Any]
    application: Target
    spans: list[Told]
    secrets: dict[str, str]
    written: dict[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written["log"].splitlines() if line.startswith("{")]

    def about(self, request_id: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if request_id in (line.get("request_id"), line.get("submit_id"))]


def sometimes(n: int) -> Answer:
    return (500, {}) if n == 0 else (204, {})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("secrets")
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(sandbox())
        quoted, application = stack.enter_context(quoting()), stack.enter_context(target(sometimes))
        seen, server = stack.enter_context(collector()), stack.enter_context(valkey(folder / "redis"))
        accounts = folder / "accounts.toml"
        accounts.write_text(f'[quoting]\nkey = "{OTHER_KEY}"\nbase_url = "{quoted}"\nrate_limit = "100/1s"\n')
        environment = env(accounts, peer, application, seen, server)
        machine = prepared(folder / "machine", **environment)
        machine.start()
        try:
            found = lived(machine, application, server, seen)
            machine.stop()
            found.spans = seen.spans
            found.written["check with S3"] = checked(machine, quoted)
        finally:
            machine.end()
        found.written["log"] = machine.log()
        found.written["spans"] = b" ".join(seen.bodies).decode("latin-1")
        yield found


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    quick = {"job_seconds": 0.3, "render_seconds": 0.2, "queue_seconds": 0.0, "shorts": 1, "rate_limit": "1000/1s"}
    peer = Sandbox(SandboxConfig(port=0, seed="1", api_key=KEY, **quick)).start()
    yield peer
    peer.stop()


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(folder)
    server.start()
    let_in(server, REDIS, was=None)
    try:
        yield server
    finally:
        server.stop()


def let_in(server: EmbeddedValkey, password: str, *, was: str | None) -> None:
    """Demand another password from now on, also of those who are connected."""
    with contextlib.closing(Redis.from_url(server.url, password=was)) as client:
        client.config_set("requirepass", password)
        client.client_kill_filter(_type="normal", skipme=True)


def env(accounts: Path, peer: Sandbox, application: Target, seen: Collector, server: EmbeddedValkey) -> dict[str, str]:
    return {
        "SWIFTIA_API_KEY": KEY,
        "SWIFTIA_BASE_URL": peer.url,
        "SWIFTIA_RATE_LIMIT": "1000/1s",
        "SWIFTIA_ACCOUNTS": str(accounts),
        "CALLBACK_KEYS": CALLBACK_KEY,
        "VIEWER_TOKEN": SECRETS["viewer token"],
        "DELIVERY_SECRET": f"whsec_{DELIVERS}",
        "DELIVERY_URL": f"{application.url}/hook?token=Zx9TokenInTarget",
        "DELIVERY_RETRY_BASE": "100ms",
        "REDIS_URL": server.url.replace("unix://", f"unix://:{REDIS}@"),
        "TRUSTED_NETWORKS": "127.0.0.0/8",
        "METRICS_PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
        "WORKERS": "2",
        "GRACE_SECONDS": "5s",
        "LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": seen.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


def lived(machine: Machine, application: Target, server: EmbeddedValkey, seen: Collector) -> Run:
    order = {"metadata": {"who": "Zx9MetadataValue", "phone": PHONE}}
    headers = {"X-Request-Id": SUBMITTED}
    body = {"functionName": "VideoShorts", "youtubeVideoId": "a-story", **order}
    submitted = machine.http.post("/api/jobs", json=body, headers=headers)
    assert submitted.status_code == 201, submitted.text
    job_id, ref = submitted.json()["id"], submitted.json()["ref"]
    written = {"submission answered": json.dumps(dict(submitted.headers))}
    machine.wait_for(lambda: machine.job(job_id)["state"] == "finished", 60)
    machine.wait_for(lambda: "job.finished" in application.events(job_id), 30)
    callback_token = token_of(ref, [CALLBACK_KEY])
    admin = machine.http.headers["Authorization"].removeprefix("Bearer ")
    written |= trouble(machine, callback_token)
    written |= without_redis(machine, server, callback_token)
    machine.wait_for(lambda: {"courier", "web"} <= {span.role for span in seen.spans}, 20)
    secrets = {
        **SECRETS,
        "admin token": admin,
        "callback token": callback_token,
        "its mac": callback_token.partition(".")[2],
    }
    return Run(machine, machine.job(job_id), application, [], {**secrets, "ref": ref}, written)


def trouble(machine: Machine, callback_token: str) -> dict[str, str]:
    """Everything that a caller can do wrong, and Swiftia and an application too; answers what was answered."""
    door, json_type = f"/webhooks/swiftia/{callback_token}", {"Content-Type": "application/json"}
    later = {"Prefer": "respond-async"}
    stranger = {"Authorization": "Bearer Zx9WrongAdminToken"}
    leak = json.dumps({"id": "job/../x", "phone": PHONE_TOO, "apiKey": "Zx9SecretInCallback"}).encode()
    order = {"functionName": "VideoShorts", "youtubeVideoId": "abc", "metadata": {"who": "Zx9MetadataValue"}}
    other = "http://127.0.0.1:1/?token=Zx9TokenInTarget"
    asked = [
        ("POST", door, leak, {}),
        ("POST", door + "x", leak, {}),
        ("POST", f"/webhooks/swiftia/{callback_token[:-2]}", leak, {}),
        ("POST", door, b"x" * ((1 << 20) + 1), {}),
        ("PUT", door, leak, {}),
        ("GET", f"/webhooks/{callback_token}", b"", {}),
        ("GET", "/api/jobs", b"", stranger),
        ("GET", "/api/jobs?token=Zx9TokenInQuery", b"", {}),
        ("GET", "/api/jobs/Zx9TokenInQuery", b"", {}),
        ("POST", "/api/jobs", b"{nonsense Zx9SecretInCallback", json_type),
        ("POST", "/api/jobs", json.dumps({**order, "youtubeVideoId": "no-phone"}).encode(), json_type),
        ("POST", "/api/jobs", json.dumps({**order, "account": "quoting"}).encode(), json_type),
        ("POST", "/api/jobs", json.dumps({**order, "webhook": "https://x/Zx9TokenInQuery"}).encode(), json_type),
        (
            "POST",
            "/api/jobs",
            json.dumps({**order, "youtubeVideoId": "job-fails", "delivery": other}).encode(),
            json_type,
        ),
        ("POST", "/api/jobs", json.dumps({**order, "account": "quoting"}).encode(), json_type | later),
        ("PUT", "/api/jobs/job_of_quoting", b'{"account": "quoting"}', json_type),
        ("GET", "/", b"", {}),
        ("GET", "/docs", b"", {}),
        ("GET", "/problems", b"", {}),
        ("GET", "/readyz", b"", {}),
        ("GET", "/api/storage?account=quoting", b"", {}),
        ("GET", "/metrics", b"", {}),
    ]
    written = {}
    for n, (method, path, body, headers) in enumerate(asked):
        answer = ask(machine, method, path, body, headers)
        assert answer.status_code < 500 or path.startswith("/api/"), answer.text
        if answer.status_code >= 400 or not path.startswith("/api/"):
            written[f"answer {n} to {method} {path[:12]}"] = answer.text + str(answer.headers.multi_items())
    raw = f"POST {door} HTTP/9.9\r\nX: {callback_token}\r\n\r\n".encode()
    written["malformed"] = sent(machine, raw).decode("latin-1")
    inside = f"http://127.0.0.1:{machine.env['METRICS_PORT']}/metrics"
    written["metrics"] = httpx2.get(inside, trust_env=False).text
    machine.wait_for(lambda: "job_of_quoting" in machine.log(), 30)
    machine.wait_for(
        lambda: len(parked(machine)) == 1 and len(machine.http.get("/api/jobs?state=failed").json()["jobs"]) == 2, 30
    )
    written |= looked_at(machine)
    machine.wait_for(lambda: "the target cannot be reached" in machine.log(), 30)
    return written


def parked(machine: Machine) -> list[dict[str, Any]]:
    return list(machine.http.get("/api/jobs?state=parked").json()["jobs"])


def looked_at(machine: Machine) -> dict[str, str]:
    """What somebody sees who may look and no more, but for what the team wrote itself; and somebody who may not."""
    written = {}
    with httpx2.Client(base_url=machine.http.base_url, trust_env=False, follow_redirects=True) as browser:
        written["sign-in refused"] = browser.post("/sign-in", data={"token": "Zx9WrongAdminToken"}).text
        assert browser.post("/sign-in", data={"token": SECRETS["viewer token"]}).status_code == 200
        for path in ("/", "/parked", "/nowhere"):
            written[f"page {path}"] = browser.get(path).text
    viewer = {"Authorization": f"Bearer {SECRETS['viewer token']}"}
    with httpx2.Client(base_url=machine.http.base_url, headers=viewer, trust_env=False) as client:
        for state in ("parked", "failed"):
            listed = client.get(f"/api/jobs?state={state}")
            assert listed.status_code == 200
            written[f"{state} jobs"] = json.dumps([{**job, "metadata": None} for job in listed.json()["jobs"]])
        written["forbidden"] = client.post("/api/jobs/job_of_quoting/retry").text
    return written


def ask(machine: Machine, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
    """On a connection of its own: what is refused before it is read ends one."""
    with httpx2.Client(base_url=machine.http.base_url, headers=machine.http.headers, trust_env=False) as client:
        return client.request(method, path, content=body, headers={**headers, "Connection": "close"}, timeout=30)


def sent(machine: Machine, raw: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(machine.env["PORT"])), timeout=10) as connection:
        connection.sendall(raw)
        return connection.recv(65536)


def without_redis(machine: Machine, server: EmbeddedValkey, callback_token: str) -> dict[str, str]:
    """Redis does not let the service in any more, for a while."""
    let_in(server, NEXT_REDIS, was=REDIS)
    inside = f"http://127.0.0.1:{machine.env['METRICS_PORT']}/metrics"
    written = {"metrics without Redis": httpx2.get(inside, trust_env=False).text}
    answer = machine.http.post(f"/webhooks/swiftia/{callback_token}", content=b"Zx9SecretInCallback")
    assert answer.json()["outcome"] == "spooled", answer.text
    listed = machine.http.get("/api/jobs")
    assert listed.status_code == 503
    written["503"] = listed.text
    let_in(server, REDIS, was=NEXT_REDIS)
    machine.wait_for(lambda: "spool.drained" in machine.log(), 60)
    return written


def checked(machine: Machine, quoted: str) -> str:
    changed = {"STORAGE_URL": "s3://a-bucket/kept", "AWS_ENDPOINT": quoted, "AWS_REGION": "us-east-1", **AWS}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "receiver", "check"],
        cwd=machine.folder,
        env={**machine.env, **changed, "AWS_ALLOW_HTTP": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "s3://a-bucket" in done.stdout, done.stdout + done.stderr
    return done.stdout + done.stderr


def forms(secret: str) -> set[str]:
    """As it may be written."""
    return {secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}


def test_none_of_them_is_written_or_served(run):
    leaks = [
        f"{name} in {where}: …{text[max(0, at - 300) : at + 100]}…"
        for name, secret in run.secrets.items()
        for where, text in run.written.items()
        for form in forms(secret)
        if (at := text.find(form)) >= 0
    ]
    assert not leaks, "\n".join(leaks)


def test_no_callback_url_of_any_job_is_written_or_served(run):
    found = {where: TOKEN.findall(text) for where, text in run.written.items()}
    assert {where: tokens for where, tokens in found.items() if tokens} == {}
    assert TOKEN.search(run.secrets["callback token"])


def test_all_of_it_happened(run):
    events = {line["event"] for line in run.lines}
    expected = {
        *("callback.received", "callback.refused", "step.attempted", "submission.linked", "request.failed"),
        *("download.answered", "delivery.answered", "redis.away", "redis.back", "spool.drained", "upstream.answered"),
        *("process.started", "worker.started", "courier.started", "clock.started", "metrics.without_redis"),
    }
    assert expected - events == set()
    steps = {(line["step"], line["outcome"]) for line in run.lines if line["event"] == "step.attempted"}
    assert {("deliver", "wait"), ("deliver", "done"), ("keep", "done"), ("fetch", "failed")} <= steps


def test_every_line_is_of_the_list_or_of_a_library(run):
    ours = {line["event"] for line in run.lines if "logger" not in line}
    assert ours - EVENTS.keys() == set()
    assert {line["level"] for line in run.lines} >= {"debug", "info", "warning"}


def test_one_id_tells_the_story_of_a_submission(run):
    story = run.about(SUBMITTED)
    assert {line["step"] for line in story if line["event"] == "step.attempted"} >= {
        "fetch",
        "render",
        "watch",
        "keep",
        "deliver",
    }
    assert [line["job"] for line in story if line["event"] == "submission.linked"] == [run.job["id"]]


def test_one_id_tells_the_story_of_a_callback(run):
    (heard,) = [
        line
        for line in run.lines
        if line["event"] == "callback.received" and line.get("job") == run.job["id"] and line["outcome"] == "new"
    ][:1]
    story = run.about(heard["request_id"])
    steps = [line["step"] for line in story if line["event"] == "step.attempted"]
    assert {"fetch", "render", "watch", "keep", "deliver"} <= set(steps)
    exchanges = {line["event"] for line in story} & {"upstream.answered", "download.answered", "delivery.answered"}
    assert exchanges == {"upstream.answered", "download.answered", "delivery.answered"}
    assert {line["submit_id"] for line in story if "step" in line} == {SUBMITTED}
    told = [one for one in run.application.received if one.payload["data"]["id"] == run.job["id"]]
    assert {one.headers["x-request-id"] for one in told} == {heard["request_id"]}


def test_spans_of_all_processes_are_in_one_trace(run):
    told = [one for one in run.application.received if one.payload["data"]["id"] == run.job["id"]]
    (trace,) = {one.headers["traceparent"].split("-")[1] for one in told}
    found = [span for span in run.spans if span.trace == trace]
    assert {span.name for span in found} == {
        *("callback.receive", "step.fetch", "step.render", "step.watch", "step.keep", "step.deliver"),
        *("upstream.request", "download", "delivery.send"),
    }
    assert {span.role for span in found} == {"web", "worker-upstream", "worker-files", "courier"}
    assert {span.service for span in found} == {"swiftia-receiver"}
    (door,) = [span for span in found if span.name == "callback.receive"]
    assert {span.parent for span in found if span.name.startswith("step.")} == {door.id}
    assert len({span.id for span in found}) == len(found)
