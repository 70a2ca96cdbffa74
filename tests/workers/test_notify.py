import contextlib
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workers.notify import Listener, Notifier


@pytest.fixture
def listener():
    with contextlib.closing(Listener()) as made:
        yield made


def test_what_is_sent_is_heard_once(listener):
    assert not listener.heard()
    Notifier(listener.address).alive()
    Notifier(listener.address).alive()
    assert listener.heard()
    assert not listener.heard()


@pytest.mark.parametrize("word", ["ready", "alive", "stopping"])
def test_each_word_is_a_sign_of_life(listener, word):
    getattr(Notifier(listener.address), word)()
    assert listener.heard()


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        (b"READY=1\nSTATUS=Gunicorn arbiter booted", True),
        (b"STATUS=x\nWATCHDOG=1", True),
        (b"STATUS=WATCHDOG=1", False),
        (b"WATCHDOG=trigger", False),
        (b"", False),
        (b"\xff" * 5000, False),
        (b"\n" * 4000, False),
    ],
)
def test_only_the_words_of_life_count(listener, message, counts):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message, listener.address)
    assert listener.heard() == counts


def test_a_full_listener_delays_nobody_and_is_emptied_in_one_look(listener):
    began = time.monotonic()
    for _ in range(2000):
        Notifier(listener.address).alive()
    assert time.monotonic() - began < 2
    assert listener.heard()
    assert not listener.heard()


@pytest.mark.parametrize(
    "address",
    [None, "", "/no/such/socket", "@no-such-name", "relative", "/" + "x" * 300, "@" + "x" * 300, "/a\0b", "@"],
)
def test_nobody_who_listens_is_no_trouble(address):
    notifier = Notifier(address)
    for tell in (notifier.ready, notifier.alive, notifier.stopping):
        tell()
    assert notifier.heard == bool(address)


def test_a_listener_that_is_gone_is_no_trouble(listener):
    notifier = Notifier(listener.address)
    listener.close()
    notifier.alive()
    assert not Path(listener.address).parent.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_a_name_without_a_file_is_reached():
    name = f"swiftia-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(5)
        Notifier(f"@{name}").ready()
        assert systemd.recv(100) == b"READY=1"


def test_the_socket_is_private(listener):
    assert stat.S_IMODE(Path(listener.address).parent.stat().st_mode) == 0o700


def test_what_a_killed_listener_left_is_removed_by_the_next_one(listener):
    code = "import os; from workers.notify import Listener; made = Listener(); print(made.address); os._exit(1)"
    command, root = [sys.executable, "-c", code], Path(__file__).parents[2]
    # It prints into a pipe, and leaves without emptying its buffers.
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    left = subprocess.run(command, cwd=root, env=env, capture_output=True, check=False).stdout.decode().strip()  # noqa: S603
    assert Path(left).exists()
    Listener().close()
    assert not Path(left).parent.exists()
    assert Path(listener.address).exists(), "one that lives is left alone"


def test_a_long_folder_for_temporary_files_does_not_matter(tmp_path):
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    code = (
        "from workers.notify import Listener, Notifier; made = Listener(); Notifier(made.address).alive(); "
        "assert made.heard(); print(made.address)"
    )
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", code],
        env=env,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )
    assert not Path(done.stdout.decode().strip()).parent.exists(), "it is gone with its process"
    assert done.stderr == b""
