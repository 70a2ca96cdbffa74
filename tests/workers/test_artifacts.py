"""One contract for both kinds of store; then what only a disk, or only a bucket, can get wrong."""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore, S3Store

from workers.artifacts import Artifacts, Kept
from workers.buckets import Bucket
from workers.disk import Disk
from workers.errors import DownloadFailed, InvalidInput, NotFound, StoreFull, StoreUnavailable, TooLarge
from workers.paths import ArtifactPath, callback_path, render_path, result_path

MIB = 1 << 20
RENDER = render_path("job-1", 1)


@pytest.fixture(params=["disk", "memory", "files", "s3"])
def artifacts(request, tmp_path) -> Artifacts:
    staging = tmp_path / "staging"
    match request.param:
        case "disk":
            return Artifacts.open((tmp_path / "kept").as_uri())
        case "memory":
            store = MemoryStore()
            return Artifacts(Bucket("memory", lambda _timeout_s: store, staging=staging))
        case "files":
            return Artifacts(Bucket("files", lambda _timeout_s: LocalStore(tmp_path), staging=staging))
        case _:
            return Artifacts.open(f"s3://{request.getfixturevalue('bucket')}/a/prefix", staging=staging)


def failing(after: int) -> Iterator[bytes]:
    yield b"x" * after
    raise ConnectionError("the other side is gone")


def kept_of(body: bytes) -> Kept:
    return Kept(len(body), hashlib.sha256(body).hexdigest())


def test_what_is_put_is_got(artifacts):
    assert artifacts.put(result_path("j"), b"{}") == kept_of(b"{}")
    assert artifacts.get(result_path("j")) == b"{}"
    assert artifacts.size(result_path("j")) == 2


def test_nothing_is_kept_where_nothing_was_put(artifacts):
    assert artifacts.size(RENDER) is None
    with pytest.raises(NotFound, match=re.escape(RENDER)):
        artifacts.get(RENDER)
    with pytest.raises(NotFound):
        next(artifacts.stream(RENDER))
    assert artifacts.list_job("job-1") == []
    artifacts.delete_job("job-1")


@pytest.mark.parametrize("artifacts", ["disk", "memory", "files"], indirect=True)
def test_a_store_that_nobody_else_reaches_makes_no_links(artifacts):
    artifacts.put(RENDER, b"film")
    assert artifacts.signed_url(RENDER, 60) is None


def test_a_bucket_makes_a_link_that_is_good_for_a_while():
    store = S3Store("films", prefix="kept", access_key_id="id", secret_access_key="secret", region="eu-central-1")
    link = Artifacts(Bucket("s3://films/kept", lambda _timeout_s: store)).signed_url(RENDER, 60)
    assert link is not None
    assert "/films/kept/jobs/job-1/renders/1.mp4?" in link
    assert "X-Amz-Expires=60" in link
    assert "secret" not in link


def test_an_empty_file_is_a_file(artifacts):
    assert artifacts.put(RENDER, b"") == kept_of(b"")
    assert (artifacts.size(RENDER), artifacts.get(RENDER)) == (0, b"")


def test_what_is_there_is_replaced(artifacts):
    artifacts.put(RENDER, b"old and longer")
    artifacts.put(RENDER, b"new")
    assert artifacts.get(RENDER) == b"new"


@pytest.mark.parametrize("size", [10, 12 * MIB])
def test_a_broken_stream_changes_nothing(artifacts, size):
    artifacts.put(RENDER, b"old")
    with pytest.raises(StoreUnavailable, match="gone"):
        artifacts.keep(RENDER, failing(size), expected_size=None)
    with pytest.raises(StoreUnavailable, match="gone"):
        artifacts.keep(render_path("job-1", 2), failing(size), expected_size=None)
    assert artifacts.get(RENDER) == b"old"
    assert artifacts.list_job("job-1") == [RENDER]


@pytest.mark.parametrize("size", [10, 12 * MIB])
@pytest.mark.parametrize("off_by", [-1, 1])
def test_another_size_than_expected_changes_nothing(artifacts, size, off_by):
    artifacts.put(RENDER, b"old")
    with pytest.raises(DownloadFailed, match=f"should have {size + off_by} bytes and has {size}"):
        artifacts.keep(RENDER, [b"x" * size], expected_size=size + off_by)
    assert artifacts.get(RENDER) == b"old"


def test_an_interrupt_changes_nothing(artifacts):
    def interrupted() -> Iterator[bytes]:
        yield b"x"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifacts.keep(RENDER, interrupted(), expected_size=None)
    assert artifacts.size(RENDER) is None


def test_a_long_file_is_kept_and_read_in_bounded_memory(artifacts):
    piece = os.urandom(MIB)
    tracemalloc.start()
    try:
        kept = artifacts.keep(RENDER, (piece for _ in range(32)), expected_size=32 * MIB)
        digest = hashlib.sha256()
        for chunk in artifacts.stream(RENDER):
            digest.update(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (kept.size, kept.sha256) == (32 * MIB, digest.hexdigest())
    assert peak < 16 * MIB


@given(body=st.binary(max_size=200), start=st.integers(0, 250), length=st.none() | st.integers(0, 250))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_range_is_a_slice(artifacts, body, start, length):
    end = None if length is None else start + length
    artifacts.put(RENDER, body)
    assert b"".join(artifacts.stream(RENDER, start, end)) == body[start:end]


def test_a_range_spans_pieces(artifacts):
    body = os.urandom(11 * MIB)
    artifacts.put(RENDER, body)
    assert b"".join(artifacts.stream(RENDER, MIB - 1, 11 * MIB - 1)) == body[MIB - 1 : -1]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 1), (0, -1)])
def test_a_range_that_is_none_is_refused_at_once(artifacts, start, end):
    with pytest.raises(InvalidInput):
        artifacts.stream(RENDER, start, end)


def test_reading_at_once_has_a_limit(artifacts):
    artifacts.put(RENDER, b"12345")
    assert artifacts.get(RENDER, max_bytes=5) == b"12345"
    with pytest.raises(TooLarge):
        artifacts.get(RENDER, max_bytes=4)


def test_a_job_is_listed_and_erased_without_its_neighbours(artifacts):
    mine = [callback_path("job-1", "r1"), render_path("job-1", 1), render_path("job-1", 10), result_path("job-1")]
    for path in [*mine, result_path("job-10"), result_path("job"), result_path("other")]:
        artifacts.put(path, b"x")
    assert artifacts.list_job("job-1") == mine
    artifacts.delete_job("job-1")
    assert artifacts.list_job("job-1") == []
    assert artifacts.list_job("job-10") == [result_path("job-10")]
    assert artifacts.list_job("job") == [result_path("job")]


def left_unfinished(artifacts: Artifacts, body: bytes, origin: str = "rd_1") -> None:
    with artifacts.unfinished(RENDER, origin=origin) as partial:
        partial.begin('"v1"', 100)
        partial.write(body)


def test_a_file_that_comes_piece_by_piece_is_seen_when_it_is_whole(artifacts):
    artifacts.put(RENDER, b"old")
    left_unfinished(artifacts, b"first ")
    with artifacts.unfinished(RENDER, origin="rd_1") as partial:
        assert partial.size == 6
        assert (artifacts.get(RENDER), artifacts.list_job("job-1")) == (b"old", [RENDER])
        partial.write(b"second")
        assert artifacts.finish(RENDER, partial) == kept_of(b"first second")
    assert (artifacts.get(RENDER), artifacts.list_job("job-1")) == (b"first second", [RENDER])
    with artifacts.unfinished(RENDER, origin="rd_1") as partial:
        assert partial.size == 0


def test_what_is_unfinished_is_erased_with_its_job_alone(artifacts):
    left_unfinished(artifacts, b"first")
    artifacts.delete_job("job")
    artifacts.delete_job("job-10")
    with artifacts.unfinished(RENDER, origin="rd_1") as partial:
        assert partial.size == 5
    artifacts.delete_job("job-1")
    with artifacts.unfinished(RENDER, origin="rd_1") as partial:
        assert partial.size == 0


def test_there_is_room(artifacts):
    space = artifacts.space()
    assert space is not None
    assert space.free > 0
    artifacts.need(1)
    with pytest.raises(StoreFull):
        artifacts.need(1 << 60)


@pytest.mark.parametrize("job_id", ["", "..", "../..", ".", "a/b"])
def test_only_jobs_are_listed_and_erased(artifacts, job_id):
    with pytest.raises(InvalidInput):
        artifacts.list_job(job_id)
    with pytest.raises(InvalidInput):
        artifacts.delete_job(job_id)


@pytest.mark.parametrize(
    "url", ["", "/data", "file://data", "file:data", "http://h/x", "s3:///x", "memory:///", "s3:bucket", "\0"]
)
def test_another_storage_url_is_refused(url):
    with pytest.raises(InvalidInput, match="STORAGE_URL"):
        Artifacts.open(url)


@pytest.mark.parametrize("url", ["s3://bucket/prefix", "gs://bucket/prefix", "az://account/container/prefix"])
def test_a_bucket_is_opened_without_a_word_to_it(url):
    Artifacts.open(url)


# A disk.


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def in_another_process(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    head = "import os, sys\nfrom workers.artifacts import Artifacts\nfrom workers.paths import render_path\n"
    command = [sys.executable, "-c", head + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own words


KILLED_MIDWAY = """
def chunks():
    yield b"x" * (1 << 20)
    os.kill(os.getpid(), 9)
Artifacts.open(sys.argv[1]).keep(render_path("job-1", 1), chunks(), expected_size=None)
"""


def test_the_folder_is_made_with_odd_characters_in_its_name(tmp_path):
    root = tmp_path / "a b" / "ü%20"
    Artifacts.open(root.as_uri()).put(RENDER, b"x")
    assert (root / RENDER).read_bytes() == b"x"


def test_a_kill_midway_leaves_nothing_under_the_name(tmp_path):
    artifacts = Artifacts.open(tmp_path.as_uri())
    artifacts.put(RENDER, b"old")
    assert in_another_process(KILLED_MIDWAY, tmp_path.as_uri()).returncode == -signal.SIGKILL
    assert artifacts.get(RENDER) == b"old"
    assert artifacts.list_job("job-1") == [RENDER]
    assert len(files_in(tmp_path)) == 2


def test_what_a_kill_left_goes_with_the_next_attempt(tmp_path):
    in_another_process(KILLED_MIDWAY, tmp_path.as_uri())
    assert len(files_in(tmp_path)) == 1
    Artifacts.open(tmp_path.as_uri()).put(RENDER, b"new")
    assert files_in(tmp_path) == ["1.mp4"]


def test_what_a_kill_left_goes_with_the_job(tmp_path):
    in_another_process(KILLED_MIDWAY, tmp_path.as_uri())
    Artifacts.open(tmp_path.as_uri()).delete_job("job-1")
    assert files_in(tmp_path) == []
    assert not (tmp_path / "jobs" / "job-1").exists()


def test_two_writers_of_one_name_do_not_disturb_each_other(tmp_path):
    artifacts = Artifacts.open(tmp_path.as_uri())

    def with_a_second_writer_midway() -> Iterator[bytes]:
        yield b"first"
        artifacts.put(RENDER, b"second")
        yield b" wins"

    artifacts.keep(RENDER, with_a_second_writer_midway(), expected_size=10)
    assert artifacts.get(RENDER) == b"first wins"
    assert files_in(tmp_path) == ["1.mp4"]


def test_a_writer_of_an_erased_job_fails_and_may_come_back(tmp_path):
    artifacts = Artifacts.open(tmp_path.as_uri())

    def erased_midway() -> Iterator[bytes]:
        yield b"x"
        artifacts.delete_job("job-1")

    with pytest.raises(StoreUnavailable):
        artifacts.keep(RENDER, erased_midway(), expected_size=None)
    assert artifacts.list_job("job-1") == []


def synced(tmp_path, *calls: str) -> list[str]:
    """What is asked of the kernel for these calls of a store in ``new``."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace shows what is asked of the kernel")
    program = "import shutil, sys; from workers.artifacts import Artifacts; store = Artifacts.open(sys.argv[1])"
    program = "; ".join([program, *calls])
    command = [strace, "-y", "-e", "trace=write,fsync,rename,renameat,renameat2", sys.executable, "-c", program]
    traced = subprocess.run([*command, (tmp_path / "new").as_uri()], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    mine = [line for line in traced.stderr.splitlines() if str(tmp_path) in line]
    shape = [re.sub(rf'^(\w+)\(.*?{tmp_path}([^">]*).*', r"\1 \2", line) for line in mine]
    return [re.sub(r"\.(\w+)\.\w+\.staged", r"\1.staged", line) for line in shape]


def test_bytes_and_names_are_synced_before_a_file_counts_as_kept(tmp_path):
    assert synced(tmp_path, "store.put('jobs/j/f', b'x')") == [
        "fsync ",
        "write /new/jobs/j/f.staged",
        "fsync /new/jobs/j/f.staged",
        "rename /new/jobs/j/f.staged",
        "fsync /new/jobs/j",
        "fsync /new/jobs",
        "fsync /new",
    ]


def test_a_folder_that_several_files_share_is_synced_once_and_the_root_for_what_is_new_in_it(tmp_path):
    both = "store.put_all([('jobs/j/c/f', b'x'), ('jobs/j/g', b'y')])"
    gone = f"shutil.move({str(tmp_path / 'new/jobs')!r}, {str(tmp_path / 'aside')!r})"  # so that no inode is used again
    asked = synced(tmp_path, both, both, gone, both)
    names = ["fsync /new/jobs/j/c", "fsync /new/jobs/j", "fsync /new/jobs"]
    assert [line for line in asked if line.startswith("fsync") and not line.endswith("staged")] == [
        "fsync ",
        *names,
        "fsync /new",
        *names,
        *names,
        "fsync /new",
    ]


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "let the service's user write"),
        (errno.EROFS, "let the service's user write"),
        (errno.EIO, "check the disk"),
    ],
)
def test_an_error_of_the_disk_names_the_fix(tmp_path, code, fix):
    with pytest.raises(StoreUnavailable, match=fix), Disk(tmp_path).failures():
        raise OSError(code, os.strerror(code))


def test_a_file_in_the_way_names_the_fix(tmp_path):
    (tmp_path / "jobs").write_text("")
    artifacts = Artifacts.open(tmp_path.as_uri())
    with pytest.raises(StoreUnavailable, match="in the way"):
        artifacts.put(RENDER, b"x")
    assert artifacts.size(RENDER) is None
    with pytest.raises(StoreUnavailable, match="in the way"):
        Artifacts.open((tmp_path / "jobs").as_uri())


# A bucket.


def test_a_bucket_that_is_not_there_names_the_fix():
    def connect(_timeout_s: int) -> MemoryStore:
        raise ValueError("no such scheme\nand much more")

    artifacts = Artifacts(Bucket("s3://bucket", connect))
    with pytest.raises(StoreUnavailable, match=r"s3://bucket: no such scheme; check STORAGE_URL") as caught:
        artifacts.put(RENDER, b"x")
    assert "more" not in caught.value.message


def test_signatures_in_addresses_are_not_repeated():
    def connect(_timeout_s: int) -> MemoryStore:
        raise OSError("PUT https://account/container?sig=secret failed")

    with pytest.raises(StoreUnavailable) as caught:
        Artifacts(Bucket("az://account", connect)).put(RENDER, b"x")
    assert "secret" not in caught.value.message


FORKED_TOO_LATE = """
from obstore.store import MemoryStore
from workers.buckets import Bucket
from workers.errors import StoreUnavailable
bucket = Bucket("memory", lambda _timeout_s: MemoryStore())
artifacts = Artifacts(bucket)
def attempt():
    try:
        artifacts.put("jobs/j/f", b"x")
    except StoreUnavailable as error:
        sys.stdout.write(error.message)
        return 3
    return 0
if sys.argv[1] == "used":
    attempt()
child = os.fork()
if child == 0:
    code = attempt()
    sys.stdout.flush()
    os._exit(code)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_of_a_process_that_used_a_bucket_fails_instead_of_hanging():
    late = in_another_process(FORKED_TOO_LATE, "used")
    assert (late.returncode, "fork first" in late.stdout) == (3, True), late.stderr


def test_a_fork_of_a_process_that_has_not_used_the_bucket_may_use_it():
    assert in_another_process(FORKED_TOO_LATE, "unused").returncode == 0


def test_a_disk_never_loads_the_library_of_the_buckets(tmp_path):
    program = "Artifacts.open(sys.argv[1]).put('jobs/j/f', b'x')\nsys.exit('obstore' in sys.modules)"
    assert in_another_process(program, tmp_path.as_uri()).returncode == 0


def test_paths_are_text(artifacts):
    artifacts.put(ArtifactPath("jobs/j/f"), b"x")
    assert artifacts.list_job("j") == ["jobs/j/f"]
