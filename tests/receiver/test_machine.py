import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from receiver import machine
from receiver.exits import PortTaken
from receiver.launch import plan
from workers import folderlock
from workers.errors import AlreadyRunning, InvalidSettings, LedgerUnavailable
from workers.valkey import EmbeddedValkey


@contextlib.contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def lax_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "lax")
    server.start()
    with contextlib.closing(Redis.from_url(server.url)) as client:
        client.config_set("appendfsync", "everysec")
    yield server
    server.stop()


def never(_words: str) -> None:
    pytest.fail("nothing should be said")


def test_a_taken_port_is_named_with_the_variable_that_moves_it():
    with listening() as port, pytest.raises(PortTaken, match=f"port {port}: .* set another SANDBOX_PORT"):
        machine.check_port("127.0.0.1", port, "SANDBOX_PORT")
    machine.check_port("127.0.0.1", port, "PORT")


def test_a_host_that_is_none_of_this_machine_is_refused():
    with pytest.raises(InvalidSettings, match=r"HOST='no-such-host.invalid' is not known"):
        machine.check_port("no-such-host.invalid", 8000, "PORT")
    with pytest.raises(PortTaken, match="cannot listen on 192"):
        machine.check_port("192.0.2.1", 8000, "PORT")


def test_a_second_one_is_kept_out_of_the_data_directory(tmp_path):
    lock = folderlock.acquire(tmp_path, grace_s=0)
    folderlock.write_holder(lock, server=os.getpid(), now=lambda: 0)
    env = {"DATA_DIR": str(tmp_path)}
    with pytest.raises(AlreadyRunning, match=f"stop process {os.getpid()}"):
        machine.run(plan(env, sandbox_allowed=True), env, say=never)
    os.close(lock)


def test_a_data_directory_that_cannot_be_made_is_a_setting_that_cannot_be_used(tmp_path):
    (tmp_path / "file").touch()
    env = {"DATA_DIR": str(tmp_path / "file" / "data")}
    with pytest.raises(InvalidSettings, match="DATA_DIR="):
        machine.run(plan(env, sandbox_allowed=True), env, say=never)


def test_a_redis_that_may_lose_work_is_refused_where_that_is_asked_for(tmp_path, lax_valkey):
    env = {"DATA_DIR": str(tmp_path), "REDIS_URL": lax_valkey.url, "REQUIRE_DURABLE": "true", "PORT": str(free_port())}
    with pytest.raises(InvalidSettings, match=r"appendfsync is everysec: .* set always"):
        machine.run(plan(env, sandbox_allowed=True), env, say=never)


def test_a_redis_that_may_lose_work_is_warned_of_otherwise(tmp_path, lax_valkey):
    said: list[str] = []
    env = {"DATA_DIR": str(tmp_path), "REDIS_URL": lax_valkey.url}
    machine.check_redis(plan(env, sandbox_allowed=True).settings, said.append)
    assert said[0].startswith("WARNING: unix://")
    assert any("appendfsync is everysec" in line for line in said)


def test_a_durable_redis_is_taken_without_a_word(tmp_path, redis_url):
    env = {"DATA_DIR": str(tmp_path), "REDIS_URL": redis_url, "REQUIRE_DURABLE": "true"}
    machine.check_redis(plan(env, sandbox_allowed=True).settings, never)


def test_a_redis_that_is_not_there_is_said_so(tmp_path):
    env = {"DATA_DIR": str(tmp_path), "REDIS_URL": f"redis://:pw@127.0.0.1:{free_port()}/0"}
    with pytest.raises(LedgerUnavailable, match="REDIS_URL"):
        machine.check_redis(plan(env, sandbox_allowed=True).settings, never)


def free_port() -> int:
    with listening() as port:
        return port


def test_valkey_comes_first_and_goes_last_and_workers_go_before_the_door():
    ranks = machine.ranks(plan({"WORKERS": "2"}, sandbox_allowed=True))
    names = [[service.name for service in rank] for rank in ranks]
    work = ["clock", "worker-upstream-1", "worker-files-1", "worker-deliveries-1"]
    assert names == [["valkey", "sandbox"], ["web"], work]


def test_with_redis_and_a_key_only_our_own_run():
    env = {"REDIS_URL": "redis://r/0", "SWIFTIA_API_KEY": "k", "WORKERS": "2"}
    names = [[service.name for service in rank] for rank in machine.ranks(plan(env, sandbox_allowed=True))]
    assert names == [["web"], ["clock", "worker-upstream-1", "worker-files-1", "worker-deliveries-1"]]


def test_the_welcome_says_where_everything_is_and_no_secret(tmp_path):
    env = {
        "DATA_DIR": str(tmp_path),
        "PORT": "9000",
        "ADMIN_TOKEN": "a-secret-of-the-admin",
        "REDIS_URL": "redis://:hidden-word@cache:6379/0",
    }
    words = machine.welcome(plan(env, sandbox_allowed=True), env)
    assert "http://127.0.0.1:9000" in words
    assert f"file://{tmp_path}/artifacts" in words
    assert "(sandbox)" in words
    assert "submit dQw4w9WgXcQ --wait" in words
    assert "a-secret" not in words
    assert "hidden-word" not in words


def test_the_sandbox_is_announced_in_two_lines():
    notice = machine.sandbox_notice("http://127.0.0.1:8010")
    assert len(notice.splitlines()) == 2
    assert notice.startswith("NO SWIFTIA_API_KEY")
