"""The units of deploy/systemd: systemd's own opinion of them, and whether what they start speaks as they expect."""

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from receiver import launch
from receiver.trial import foreign, free_ports
from tests.deploy.tools import ROOT, told, tool
from workers.work import DELIVERIES, LANES

FOLDER = ROOT / "deploy" / "systemd"
PROGRAM = "/opt/swiftia-receiver/bin/swiftia-receiver"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
MOST_EXPOSED = 1.1
FIX = "apt install systemd"


def values(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"(?m)^([A-Z]\w+)=(.*)$", (FOLDER / name).read_text()):
        found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A copy of the folder whose program is the one of this environment."""
    for path in FOLDER.rglob("*"):
        if path.suffix in {".service", ".target", ".slice", ".conf"}:
            copy = tmp_path / path.relative_to(FOLDER)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(path.read_text().replace(PROGRAM, str(Path(sys.executable).with_name("swiftia-receiver"))))
    return tmp_path


def test_there_is_a_unit_for_each_role():
    assert [f"swiftia-receiver-{role}.service" for role in ("clock", "web", "worker@")] == SERVICES
    wanted = set(" ".join(values("swiftia-receiver.target")["Wants"]).split())
    lanes = {f"swiftia-receiver-worker@{lane}.service" for lane in (*LANES, DELIVERIES)}
    assert wanted == {"swiftia-receiver-web.service", "swiftia-receiver-clock.service", *lanes}


def test_systemd_finds_nothing_wrong(units):
    analyze = tool("systemd-analyze", FIX)
    env = os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:"}
    done = subprocess.run(  # noqa: S603
        [analyze, "verify", "--man=no", "swiftia-receiver.target"], env=env, capture_output=True, text=True, check=False
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "swiftia-receiver" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", SERVICES)
def test_each_is_shut_in(units, name):
    analyze = tool("systemd-analyze", FIX)
    answer = told(analyze, "security", "--offline=true", "--no-pager", units / name)
    exposure = float(re.findall(r"exposure level for \S+: ([0-9.]+)", answer)[-1])
    assert exposure <= MOST_EXPOSED
    assert f"{MOST_EXPOSED}" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_each_stop_waits_longer_than_the_service_needs(name):
    plan = launch.plan({"SWIFTIA_API_KEY": "k"}, sandbox_allowed=False)
    children = [launch.web(plan), launch.clock(plan), *launch.workers(plan, launch.worker_counts(4))]
    given = values(name)
    assert int(given["TimeoutStopSec"][0]) > max(child.stop_seconds or 0 for child in children)
    assert {float(given["WatchdogSec"][0])} == {child.watchdog_seconds for child in children}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVICES)
def test_what_it_starts_gets_ready_tells_that_it_goes_on_and_ends(name, tmp_path, redis_url):
    (line,) = values(name)["ExecStart"]
    words = line.replace("%i", "files").replace("${PROCESSES}", "1").split()
    assert words[0] == PROGRAM
    name_of_socket = f"swiftia-receiver-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name_of_socket}")
        listener.settimeout(60)
        (port,) = free_ports(1)
        given = {"REDIS_URL": redis_url, "DATA_DIR": str(tmp_path / "data"), "PORT": str(port), "WEB_CONCURRENCY": "1"}
        env = {**foreign(os.environ), **given, "SWIFTIA_API_KEY": "k", "NOTIFY_SOCKET": f"@{name_of_socket}"}
        command = [sys.executable, "-m", "receiver", *words[1:]]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)  # noqa: S603
        try:
            # A sign of life may come before it is ready, when nothing hears SIGTERM yet.
            for word in (b"READY=1", b"WATCHDOG=1"):
                while word not in listener.recv(4096).split(b"\n"):
                    pass
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    assert code == 0
