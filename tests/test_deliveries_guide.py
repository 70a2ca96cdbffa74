"""What deploy/deliveries.md shows is run as it stands there: the receivers verify what we really send."""

import base64
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from workers.deliveries import Reply
from workers.destinations import Destinations
from workers.events import Event
from workers.guarded import guarded_client
from workers.outbox import EVENTS
from workers.settings import Settings
from workers.signing import parse_secret

GUIDE = (Path(__file__).parent.parent / "deploy" / "deliveries.md").read_text()
SECRET, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (3, 4))
LOOPBACK = Settings.from_env({"TRUSTED_NETWORKS": "127.0.0.0/8"}).trusted_networks


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


def present(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        if "CI" in os.environ:
            pytest.fail(f"{command} is missing")
        pytest.skip(f"no {command} here; apt install {'nodejs' if command == 'node' else command}")
    return path


@contextlib.contextmanager
def receiver(language: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Run an example; give its URL and the file that it prints to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = folder / {"python": "app.py", "js": "app.mjs"}[language]
    file.write_text(block(language))
    python = [sys.executable, "-m", "flask", "--app", str(file), "run", "--port", str(port)]
    command = python if language == "python" else [present("node"), str(file)]
    printed = folder / "printed"
    env = {**os.environ, "DELIVERY_SECRET": SECRET, "PORT": str(port)}
    with printed.open("wb") as out, started(command, env, out) as process:
        try:
            answers(port, process)
            yield f"http://127.0.0.1:{port}/swiftia", printed
        finally:
            process.kill()


def started(command: list[str], env: dict[str, str], out: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)  # noqa: S603 - an example of ours


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the example does not listen")


def sent(url: str, *secrets: str, at: float | None = None) -> Reply:
    destinations = Destinations(
        guarded_client(trusted=LOOPBACK),
        urls={},
        secrets={"": [parse_secret(secret) for secret in secrets]},
        handler=None,
        timeout_s=10,
        now=lambda: time.time() if at is None else at,
        clock=time.monotonic,
    )
    event = Event("msg_1", "job.finished", "2026-11-24T10:00:00.000Z", "job_é", None, None, {"a": "ü"}, {})
    return destinations.send(event, url=url)


@pytest.mark.parametrize("language", ["python", "js"])
def test_an_example_takes_ours_and_refuses_others(language: str, tmp_path: Path) -> None:
    with receiver(language, tmp_path) as (url, printed):
        assert sent(url, SECRET).status == 204
        assert sent(url, OTHER, SECRET).status == 204  # while the secret is rotated
        assert sent(url, OTHER).status == 401
        assert sent(url, SECRET, at=time.time() - 3600).status == 401
        assert printed.read_text().count("job.finished job_é\n") == 2


def test_the_one_sent_by_hand_is_taken(tmp_path: Path) -> None:
    for command in ("sh", "curl", "openssl", "base64", "od"):
        present(command)
    with receiver("python", tmp_path) as (url, printed):
        for secret, code in ((SECRET, 0), (OTHER, 22)):
            env = {**os.environ, "DELIVERY_SECRET": secret, "DELIVERY_URL": url, "no_proxy": "*"}
            done = subprocess.run(  # noqa: S603 - an example of ours
                [present("sh"), "-c", block("sh")], env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == code, done.stderr
        assert "job.finished job_test" in printed.read_text()


def test_the_guide_names_every_event() -> None:
    assert tuple(re.findall(r"(?m)^\| `([a-z.]+)` \|", GUIDE)) == EVENTS
