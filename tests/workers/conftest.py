"""A station: the whole service inside the test's own process, on real Valkey, against a real sandbox.

Nudges are taken off RQ's queues by hand and run here, so a test decides what runs, in what order, and what dies.
"""

import json
import secrets
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from tests.workers.s3server import S3Server, credentials
from workers.clock import Clock
from workers.history import Observation
from workers.identifiers import parse_subject
from workers.memory import RENDERS, Memory
from workers.sandbox import Sandbox, SandboxConfig
from workers.services import Services
from workers.settings import Settings
from workers.views import JobView
from workers.wiring import build
from workers.work import LANES

Nudge = tuple[str, str, int]
# Between two looks at what is due: other tests want the processor too.
_IDLE_S = 0.01


@dataclass
class Station:
    services: Services
    sandbox: Sandbox
    clock: Clock
    data_dir: Path

    def nudges(self) -> Iterator[Nudge]:
        """Take what waits in RQ's queues, one after the other, until they are empty."""
        redis = self.services.redis
        for lane in LANES:
            while (name := redis.lpop(f"rq:queue:{lane}")) is not None:
                step, subject, attempt = json.loads(redis.hget(f"rq:job:{name.decode()}", "data"))[2]
                redis.delete(f"rq:job:{name.decode()}")
                yield step, subject, attempt

    def run(self, nudge: Nudge) -> None:
        step, subject, attempt = nudge
        self.services.attempts.run(step, parse_subject(subject), attempt)

    def turn(self) -> bool:
        """Do what is due, once. Tell whether there was anything."""
        self.clock.tick()
        found = False
        for nudge in self.nudges():
            self.run(nudge)
            found = True
        return found

    def until(self, condition: Callable[[], object], timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            if not self.turn():
                time.sleep(_IDLE_S)

    def submit(self, video: str = "abcdefghijk", **options: object) -> str:
        """Submit a job and return its id."""
        submission = self.services.submissions.submit(
            {"functionName": "VideoShorts", "youtubeVideoId": video}, **options
        )
        assert submission.job_id is not None
        return submission.job_id

    def call(self, job_id: str, body: bytes = b"{}") -> None:
        """Let a callback for a job come in."""
        ref = self.view(job_id).summary.ref or ""
        self.services.ledger.accept(
            ref=ref, job_id="" if ref else job_id, receipt=f"rc-{job_id}", digest=body.hex(), meta={}, body=body
        )

    def view(self, job_id: str) -> JobView:
        found = self.services.catalog.find(job_id)
        assert found is not None
        return found

    def state(self, job_id: str) -> str:
        return self.view(job_id).summary.state

    def settled(self, job_id: str) -> bool:
        return self.state(job_id) in ("finished", "failed", "parked")

    def done(self, video: str = "abcdefghijk", **options: object) -> JobView:
        """Submit a job, let its callback come, and work until it has ended."""
        job_id = self.submit(video, **options)
        self.call(job_id)
        self.until(lambda: self.settled(job_id))
        return self.view(job_id)

    def events(self, job_id: str) -> list[object]:
        return [event["event"] for event in self.view(job_id).timeline]

    def started(self, job_id: str) -> dict[str, int]:
        """How many renders Swiftia has started for each short."""
        counts: dict[str, int] = self.sandbox.books(hashes=False)["renders_per_short"].get(job_id, {})
        return counts


FAST = {"job_seconds": 0.0, "render_seconds": 0.05, "queue_seconds": 0.0, "rate_limit": "1000/1s"}


@pytest.fixture
def make_station(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Build a station; ``sandbox`` fields and environment variables can be given."""
    running: list[Sandbox] = []

    def make(sandbox: dict[str, object] | None = None, **env: str) -> Station:
        peer = Sandbox(SandboxConfig(port=0, seed="1", **{**FAST, **(sandbox or {})})).start()
        running.append(peer)
        given = {
            "REDIS_URL": redis_url,
            "DATA_DIR": str(tmp_path / "data"),
            "SWIFTIA_API_KEY": "sandbox-key",
            "SWIFTIA_BASE_URL": peer.url,
            "SWIFTIA_RATE_LIMIT": "1000/1s",
            "TRUSTED_NETWORKS": "127.0.0.0/8",
            "RETRY_BASE": "20ms",
            "RETRY_CAP": "50ms",
            **env,
        }
        memory = Memory(redis)
        for _ in range(8):  # an account whose renders are as quick as these are; a new one's are looked at later
            memory.learn(RENDERS, memory.of(RENDERS), Observation(length_s=0.1))
        services = build(Settings.from_env(given), redis, with_handler=True)
        clock = Clock(services.ledger, services.budgets, services.artifacts, redis)
        return Station(services, peer, clock, tmp_path / "data")

    yield make
    for peer in running:
        peer.stop()


@pytest.fixture
def station(make_station: Callable[..., Station]) -> Station:
    return make_station()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for the whole run."""
    server = S3Server.start(tmp_path_factory.mktemp("s3") / "moto.log")
    yield server
    server.stop()


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of an empty bucket, with the variables set that lead there."""
    name = f"kept-{secrets.token_hex(6)}"
    s3.make(name)
    for variable, value in credentials(s3.url).items():
        monkeypatch.setenv(variable, value)
    return name


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give the context of a server that is files.example and 127.0.0.1, and of a client that believes it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate of this test")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = "DNS:files.example,IP:127.0.0.1"
    options = ["-subj", "/CN=files.example", "-addext", f"subjectAltName={names}", "-days", "2", "-nodes"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", "-x509", *curve, *options, *files], check=True, capture_output=True)  # noqa: S603 - our own words
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)
