"""The room on a disk, on disks that are really full."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.workers.smalldisk import filled, small_disk
from workers.artifacts import Artifacts
from workers.errors import StoreFull, StoreUnavailable
from workers.paths import render_path, result_path
from workers.volumes import Space, Volume

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "small", size=8 * MIB) as folder:
        yield folder


def test_room_is_what_may_still_be_written(disk):
    volume = Volume(disk / "not" / "there" / "yet", spare=MIB)
    assert volume.space() == volume.glance() == Space(8 * MIB, MIB)
    with filled(disk, leaving=2 * MIB):
        assert volume.space() == Space(2 * MIB, MIB)
        assert not volume.space().paused
    with filled(disk, leaving=MIB - 4096):
        assert volume.space().paused


def test_what_fits_beside_the_spare_bytes_is_no_more_than_that(disk):
    volume = Volume(disk, spare=MIB)
    volume.need(7 * MIB)
    with pytest.raises(StoreFull, match="MIN_FREE_BYTES"):
        volume.need(7 * MIB + 1)
    volume.need(8 * MIB, from_spare=True)
    with pytest.raises(StoreFull):
        volume.need(8 * MIB + 1, from_spare=True)
    with filled(disk):
        volume.need(0, from_spare=True)
        with pytest.raises(StoreFull):
            volume.need(0)


def test_without_an_inode_there_is_no_room(tmp_path):
    with small_disk(tmp_path / "small", size=8 * MIB, options=",nr_inodes=3") as folder:
        volume = Volume(folder, spare=1)
        assert not volume.space().paused
        for name in "ab":
            (folder / name).touch()
        assert volume.space() == Space(0, 1)
        assert volume.space().paused


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EIO, StoreUnavailable),
        (errno.EROFS, StoreUnavailable),
    ],
)
def test_a_full_disk_is_told_from_a_broken_one(tmp_path, code, kind):
    with pytest.raises(StoreUnavailable) as caught, Volume(tmp_path).failures():
        raise OSError(code, os.strerror(code))
    assert type(caught.value) is kind


class Hanging(Volume):
    """A disk whose server is gone."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.answers = threading.Event()
        self.looks = 0

    def space(self) -> Space:
        self.looks += 1
        self.answers.wait()
        return super().space()


def test_a_disk_that_hangs_holds_up_nobody_who_only_glances(tmp_path):
    volume = Hanging(tmp_path)
    assert volume.glance(0.01) is None
    assert volume.glance(0.01) is None
    assert volume.looks == 1
    volume.answers.set()
    assert volume.glance(10) is not None
    assert volume.glance(10) is not None


def test_many_may_glance_at_once(tmp_path):
    volume = Volume(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: volume.glance(10), range(400)))
    assert None not in seen


def test_a_disk_that_fails_tells_nothing(tmp_path):
    gone = Volume(tmp_path / ("x" * 300))
    assert gone.glance() is None


def test_a_full_disk_keeps_what_came_and_takes_the_rest_when_there_is_room(disk):
    artifacts = Artifacts.open(disk.as_uri())
    path = render_path("job-1", 1)
    body = os.urandom(3 * MIB)
    with filled(disk, leaving=MIB), pytest.raises(StoreFull):
        written(artifacts, path, body)
    assert artifacts.size(path) is None
    assert artifacts.list_job("job-1") == []
    with artifacts.unfinished(path, origin="rd_1") as partial:
        came = partial.size
        assert 0 < came <= MIB
        partial.write(body[came:])
        artifacts.finish(path, partial)
    assert artifacts.get(path) == body


def written(artifacts, path, body) -> None:
    with artifacts.unfinished(path, origin="rd_1") as partial:
        partial.begin('"v1"', len(body))
        for at in range(0, len(body), 65536):
            partial.write(body[at : at + 65536])


def test_a_full_disk_refuses_what_is_put_whole_and_leaves_what_was_there(disk):
    artifacts = Artifacts.open(disk.as_uri())
    artifacts.put(result_path("job-1"), b"old")
    with filled(disk), pytest.raises(StoreFull):
        artifacts.put(result_path("job-1"), b"new" * MIB)
    assert artifacts.get(result_path("job-1")) == b"old"
    assert [file.name for file in (disk / "jobs" / "job-1").iterdir()] == ["result.json"]
