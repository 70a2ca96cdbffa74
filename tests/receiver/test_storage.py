"""What is told of a disk without room for files, on one that is really full."""

import pytest

from receiver import doctor
from receiver.app import create_app
from tests.workers.smalldisk import filled, small_disk

MIB = 1 << 20


@pytest.fixture
def small(tmp_path):
    with small_disk(tmp_path / "data", size=16 * MIB) as folder:
        yield folder


def gauges(client):
    lines = client.get("/metrics").text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("swiftia_receiver_storage_"))
    return [float(found[f"swiftia_receiver_storage_{name}"]) for name in ("free_bytes", "paused")]


def test_a_full_disk_is_told_and_leaves_the_door_ready(small, build_services, admin_of):
    client = admin_of(create_app(build_services(MIN_FREE_BYTES="1M")))
    before = client.get("/readyz").json["storage"]
    assert MIB < before["free_bytes"] <= 16 * MIB
    assert (before["paused"], gauges(client)[1]) == (False, 0)
    with filled(small, leaving=MIB // 2):
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["ready"]) == (200, True)
        assert answer.json["storage"]["paused"] is True
        assert gauges(client) == [answer.json["storage"]["free_bytes"], 1]
    assert client.get("/readyz").json["storage"]["paused"] is False


def looked_at(env):
    return [finding for finding in doctor.examine(env) if finding.what == "storage"]


def test_check_tells_it_with_the_fix(small, env):
    given = {**env, "MIN_FREE_BYTES": "1M", "PUBLIC_URL": "http://127.0.0.1:1"}
    assert {finding.level for finding in looked_at(given)} == {doctor.OK}
    with filled(small, leaving=MIB // 2):
        found = looked_at(given)
    assert [finding.level for finding in found] == [doctor.OK, doctor.BAD]
    assert "downloads wait" in found[1].found
    assert "MIN_FREE_BYTES" in found[1].fix


def test_a_bucket_shows_the_disk_that_files_pass_over(small, build_services, admin_of):
    client = admin_of(create_app(build_services(MIN_FREE_BYTES="1M", STORAGE_URL="s3://a-bucket/prefix")))
    with filled(small, leaving=MIB // 2):
        found = client.get("/readyz").json["storage"]
        assert found["paused"] is True
        assert found["free_bytes"] <= MIB // 2
