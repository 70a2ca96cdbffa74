"""The examples for nginx and Caddy, as they are but for names, ports and paths, in front of one running ``up``."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from receiver import knock
from tests.chaos.machine import QUICK, ROOT, Machine, free_port, started

pytestmark = pytest.mark.slow

NAME = "hooks.example.org"
# Another address than that of the proxy, which comes from 127.0.0.1.
CLIENT = "127.0.0.9"
FORGED = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-User": "mallory"}
NGINX = "{2}daemon off; pid {0}/pid; error_log stderr; events {{}} http {{ {1} include {0}/site; }}"
NGINX_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path


@dataclass
class Front:
    """A proxy on loopback."""

    port: int
    certificate: Certificate

    def client(self, **more: Any) -> httpx2.Client:
        trust = ssl.create_default_context(cafile=self.certificate.chain)
        transport = httpx2.HTTPTransport(verify=trust, local_address=CLIENT)
        return httpx2.Client(base_url=f"https://localhost:{self.port}", transport=transport, timeout=20, **more)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = started(
        tmp_path_factory.mktemp("behind") / "machine",
        **QUICK,
        TRUSTED_PROXIES="127.0.0.1/32",
        CONSOLE_AUTH_HEADER="X-Forwarded-User",
        GRACE_SECONDS="3s",
    )
    yield made
    made.end()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "chain.pem", folder / "key.pem")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [program("openssl"), *words, *named, "-keyout", made.key, "-out", made.chain]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own words
    return made


def program(name: str) -> str:
    """Find a program of this machine, also where only root usually looks."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing; .ci/run installs it")
        pytest.skip(f"{name} is missing; it comes with Debian's nginx-light, caddy and openssl")
    return found


def changed(text: str, *pairs: tuple[str, str]) -> str:
    """Replace what has to be there."""
    for old, new in pairs:
        assert old in text, f"the example has no {old!r} any more"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, upstream: int, certificate: Certificate) -> list[str]:
    site = changed(
        (ROOT / "deploy" / "nginx.conf").read_text(),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        (f"server_name {NAME}", "server_name localhost"),
        (f"/etc/ssl/{NAME}/fullchain.pem", str(certificate.chain)),
        (f"/etc/ssl/{NAME}/privkey.pem", str(certificate.key)),
    )
    (folder / "site").write_text(site)
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in NGINX_PATHS)
    as_root = "user root; " if os.geteuid() == 0 else ""  # else it gives up the right to these folders
    (folder / "main").write_text(NGINX.format(folder, paths, as_root))
    return [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "main")]


def caddy(folder: Path, port: int, upstream: int, certificate: Certificate) -> list[str]:
    site = changed(
        (ROOT / "deploy" / "Caddyfile").read_text(),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        (f"\n{NAME} {{\n", f"\nhttps://localhost:{port} {{\n\ttls {certificate.chain} {certificate.key}\n"),
    )
    closed = "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n"
    (folder / "site").write_text(closed + site)
    return [program("caddy"), "run", "--config", str(folder / "site"), "--adapter", "caddyfile"]


KINDS: dict[str, Callable[..., list[str]]] = {"nginx": nginx, "caddy": caddy}


@contextmanager
def running(kind: str, folder: Path, upstream: int, certificate: Certificate) -> Iterator[Front]:
    folder.mkdir()
    port = free_port()
    words = KINDS[kind](folder, port, upstream, certificate)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env=env, stdout=log, stderr=log)  # noqa: S603 - our own words
    try:
        deadline = time.monotonic() + 20
        while not listens(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield Front(port, certificate)
    finally:
        process.terminate()
        process.wait(20)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture(scope="module", params=KINDS)
def front(
    request: pytest.FixtureRequest,
    machine: Machine,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front") / request.param
    with running(request.param, folder, int(machine.env["PORT"]), certificate) as made:
        yield made


@pytest.fixture
def client(front: Front) -> Iterator[httpx2.Client]:
    with front.client() as made:
        yield made


@pytest.fixture
def admin(front: Front, machine: Machine) -> Iterator[httpx2.Client]:
    with front.client(headers={"Authorization": machine.http.headers["Authorization"]}) as made:
        yield made


def invited(machine: Machine) -> tuple[str, str]:
    """A callback of our own: its ref, and the path that it comes to."""
    made = machine.http.post("/api/callbacks").json()
    return made["ref"], urlsplit(made["url"]).path


def test_a_callback_is_stored_with_the_address_of_its_sender(machine, client):
    ref, path = invited(machine)
    answer = client.post(path, json={"id": f"job-{ref[:6]}"}, headers=FORGED)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "new")
    (kept,) = machine.job(ref)["callbacks"]
    assert kept["from"] == CLIENT


def test_a_callback_that_comes_in_chunks_is_stored_too(machine, client):
    _, path = invited(machine)
    answer = client.post(path, content=iter([b'{"id": "job-', b'chunked"}']))
    assert answer.status_code == 202, answer.text


def test_the_service_says_itself_what_is_too_large(machine, client):
    _, path = invited(machine)
    answer = client.post(path, content=b"x" * ((1 << 20) + 1))
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["limit"] == 1 << 20


def test_what_is_larger_by_far_does_not_come_to_it(machine, client):
    _, path = invited(machine)
    answer = client.post(path, content=b"x" * (3 << 20))
    assert answer.status_code == 413
    assert answer.headers.get("Content-Type") != "application/problem+json"


def test_an_event_arrives_while_the_stream_is_open(machine, admin):
    with admin.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        ref, path = invited(machine)
        assert machine.http.post(path, json={"id": "job-live"}).status_code == 202
        # The stream begins with what has just happened, which may be of the test before.
        told = next(line for line in lines if line.startswith("data:") and ref in line)
    assert '"event":"accepted"' in told


@pytest.fixture(scope="module")
def video(machine: Machine) -> str:
    """Where a kept video is."""
    job_id = machine.submit("a-story")["id"]
    machine.wait_for(lambda: machine.job(job_id)["state"] == "finished", 60)
    return f"/api/jobs/{job_id}/renders/1/file"


def test_a_part_of_a_video(video, admin):
    whole = admin.get(video)
    part = admin.get(video, headers={"Range": "bytes=100-199"})
    assert (whole.status_code, part.status_code) == (200, 206)
    assert part.content == whole.content[100:200]
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.content)}"


def test_signing_in_gives_a_secure_cookie(machine, client):
    token = machine.http.headers["Authorization"].removeprefix("Bearer ")
    answer = client.post("/sign-in", data={"token": token})
    assert answer.status_code == 303, answer.text
    assert "; Secure" in answer.headers["Set-Cookie"]
    assert client.get("/").status_code == 200


def test_nobody_names_themselves(machine, client):
    url = f"{machine.http.base_url}/"
    assert httpx2.get(url, headers={"X-Forwarded-User": "a-proxy"}, trust_env=False).status_code == 200
    answer = client.get("/", headers=FORGED)
    assert answer.status_code != 200
    assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_unusual_about_a_callback_that_was_plain(kind, certificate, tmp_path):
    path = f"/webhooks/swiftia/{'r' * 22}.{'m' * 43}"
    pieces: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(10)
                while not b"".join(pieces).endswith(b"}"):
                    pieces.append(sock.recv(knock.MOST_BYTES))
                sock.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with running(kind, tmp_path / kind, listener.getsockname()[1], certificate) as front, front.client() as client:
            assert client.post(path, json={"id": "job-plain"}, headers=FORGED).status_code == 202
        thread.join(10)
    read = knock.read(b"".join(pieces), "127.0.0.1")
    assert read is not None, pieces
    assert read.headers.get("X-Forwarded-For") == CLIENT
    assert read.headers.get("X-Forwarded-Proto") == "https"
    assert read.headers.get("X-Forwarded-User") == ""
    assert kind != "nginx" or len(pieces) == 1  # Caddy may send head and body apart
