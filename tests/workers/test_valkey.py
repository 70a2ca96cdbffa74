"""The embedded server under kills, races and awkward folders; each test has a real server of its own."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from workers import folderlock
from workers.errors import AlreadyRunning, InvalidSettings, StoreUnavailable
from workers.valkey import EmbeddedValkey, socket_path, url, valkey_command

ROOT = Path(__file__).parents[2]
LAUNCHER = """
import sys, signal
from pathlib import Path
from workers.errors import AlreadyRunning
from workers.valkey import EmbeddedValkey
server = EmbeddedValkey(Path(sys.argv[1]))
sys.stdin.readline()
try:
    server.start()
except AlreadyRunning:
    sys.exit(3)
print(server.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def server(tmp_path):
    server = EmbeddedValkey(tmp_path / "valkey")
    yield server
    server.stop()


@contextlib.contextmanager
def launchers(folder, count=1):
    """Start processes that start the server of ``folder`` when they get a line."""
    command = [sys.executable, "-c", LAUNCHER, str(folder)]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - our own launcher
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        for launcher in started:
            launcher.kill()
            launcher.communicate()


def client_of(server):
    return contextlib.closing(Redis.from_url(server.url))


def alive(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def fill(server, count=50):
    with client_of(server) as redis:
        for n in range(count):
            redis.set(f"key:{n}", n)


def count(server):
    with client_of(server) as redis:
        return redis.dbsize()


def test_the_command_says_everything_that_durability_needs():
    command = valkey_command(Path("/bin/valkey"), Path("/data"), socket=Path("/data/s"))
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == "/bin/valkey"
    assert options == {
        "--bind": "",
        "--port": "0",
        "--unixsocket": "/data/s",
        "--unixsocketperm": "700",
        "--dir": "/data",
        "--save": "",
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--no-appendfsync-on-rewrite": "no",
        "--aof-load-truncated": "yes",
        "--maxmemory-policy": "noeviction",
        "--hash-max-listpack-value": "4096",
        "--hash-max-listpack-entries": "256",
        "--daemonize": "no",
    }


def test_the_running_server_has_these_settings_and_is_private(server):
    server.start()
    with client_of(server) as redis:
        found = redis.config_get("*")
    words = valkey_command(Path("x"), server.directory, socket=server.socket_path)[1:]
    wanted = {name[2:]: value for name, value in zip(words[::2], words[1::2], strict=True)}
    assert {name: found[name] for name in wanted} == wanted
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700


def test_everything_survives_a_kill_of_the_server(server):
    server.start()
    fill(server)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert server.poll() == -signal.SIGKILL
    assert server.socket_path.exists(), "a kill leaves the stale socket that the next start must cope with"
    server.start()
    assert count(server) == 50


def test_stop_is_sigterm_and_a_clean_end(server):
    server.start()
    fill(server)
    server.stop()
    assert server.poll() == 0
    assert not server.socket_path.exists()
    assert "User requested shutdown" in server.log_path.read_text()
    server.stop()
    server.start()
    assert count(server) == 50


def test_a_torn_last_write_does_not_prevent_the_start(server):
    server.start()
    fill(server)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    (journal,) = server.directory.glob("appendonlydir/*.incr.aof")
    os.truncate(journal, journal.stat().st_size - 7)
    server.start()
    assert count(server) == 49


def test_a_kill_of_the_launcher_ends_the_server_and_the_next_start_has_all(server):
    with launchers(server.directory) as (launcher,):
        launcher.stdin.write(b"\n")
        pid = int(launcher.stdout.readline())
        fill(server)
        launcher.kill()
        # At once: the start waits until the old server has ended.
        server.start()
    assert not alive(pid)
    assert count(server) == 50


def test_the_lock_lives_as_long_as_the_server_not_as_its_launcher(server):
    with launchers(server.directory) as (launcher,):
        launcher.stdin.write(b"\n")
        pid = int(launcher.stdout.readline())
        fill(server)
        os.kill(pid, signal.SIGSTOP)
        launcher.kill()
        launcher.wait()
        with pytest.raises(AlreadyRunning, match=f"process {pid} on"):
            folderlock.acquire(server.directory, grace_s=0.1)
        os.kill(pid, signal.SIGCONT)
        server.start()
    assert count(server) == 50


def test_a_second_start_is_refused_and_says_who_holds_the_folder(server):
    server.start()
    fill(server)
    with pytest.raises(AlreadyRunning) as refusal:
        EmbeddedValkey(server.directory).start()
    message = refusal.value.message
    assert str(server.directory) in message
    assert f"process {server.pid} on" in message
    assert f"stop process {os.getpid()}" in message
    assert "another DATA_DIR" in message
    assert count(server) == 50


def test_of_many_threads_that_start_one_wins(tmp_path):
    servers = [EmbeddedValkey(tmp_path / "valkey") for _ in range(6)]
    at_once, all_tried = threading.Barrier(len(servers)), threading.Barrier(len(servers))

    def start(server):
        at_once.wait()
        try:
            server.start()
        except AlreadyRunning:
            return "refused"
        finally:
            # Nobody leaves before: a server ends with the thread that started it.
            all_tried.wait()
        return "won"

    with ThreadPoolExecutor(len(servers)) as pool:
        assert sorted(pool.map(start, servers)) == ["refused"] * 5 + ["won"]
    (winner,) = [server for server in servers if server.pid]
    winner.stop()


def test_of_many_processes_that_start_one_wins(tmp_path):
    with launchers(tmp_path / "valkey", 4) as racers:
        for racer in racers:
            racer.stdin.write(b"\n")
        said = [racer.stdout.readline() for racer in racers]
        assert sum(bool(line) for line in said) == 1
        codes = [racer.wait() for racer, line in zip(racers, said, strict=True) if not line]
    assert codes == [3, 3, 3]


def test_a_folder_with_a_long_or_odd_name(tmp_path):
    for name in ("x" * 150, "a b?c#d%20ü'\""):
        server = EmbeddedValkey(tmp_path / name)
        server.start()
        try:
            assert len(os.fsencode(server.socket_path)) <= 103
            fill(server, 3)
            assert count(server) == 3
            assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
        finally:
            server.stop()
            if server.socket_path.parent != server.directory:
                server.socket_path.parent.rmdir()


def test_the_socket_path_is_the_same_by_every_name_of_the_folder(tmp_path):
    for name in ("short", "x" * 150):
        folder = tmp_path / name
        folder.mkdir()
        link = tmp_path / f"link{len(name)}"
        link.symlink_to(folder)
        relative = Path(os.path.relpath(folder))
        assert socket_path(folder) == socket_path(link) == socket_path(relative)
        assert url(folder) == url(link)


def test_a_short_folder_that_others_can_enter_is_refused(tmp_path):
    folder = tmp_path / ("x" * 150)
    short = socket_path(folder).parent
    short.mkdir(mode=0o755)
    try:
        with pytest.raises(InvalidSettings, match="not a private folder"):
            EmbeddedValkey(folder).start()
    finally:
        short.rmdir()
    short.symlink_to(tmp_path)
    try:
        with pytest.raises(InvalidSettings, match="not a private folder"):
            url(folder)
    finally:
        short.unlink()


def test_a_folder_that_cannot_be_made_is_a_setting_to_mend(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSettings, match="check DATA_DIR"):
        EmbeddedValkey(tmp_path / "file" / "valkey").start()


def test_a_server_that_does_not_come_up_says_why(server):
    server.start()
    fill(server)
    server.stop()
    (journal,) = server.directory.glob("appendonlydir/*.incr.aof")
    journal.write_bytes(b"garbage" + journal.read_bytes())
    with pytest.raises(StoreUnavailable, match=r"ended with code 1 while it started; its last words: .*valkey.log"):
        server.start()


def test_a_long_log_makes_room(server):
    server.directory.mkdir()
    server.log_path.write_bytes(b"x" * 1_000_001)
    server.start()
    assert server.log_path.stat().st_size < 10_000
    assert server.log_path.with_suffix(".log.1").stat().st_size == 1_000_001


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"server": "x"}', "[" * 100_000, "9" * 5000])
def test_an_unreadable_lock_file_is_no_holder(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    assert folderlock.read_holder(tmp_path) is None
    os.close(folderlock.acquire(tmp_path, grace_s=0))


def test_a_lock_without_a_name_is_a_refusal_too(tmp_path):
    lock = folderlock.acquire(tmp_path, grace_s=0)
    try:
        with pytest.raises(AlreadyRunning, match="another server holds"):
            folderlock.acquire(tmp_path, grace_s=0)
    finally:
        os.close(lock)
