"""What is there of a file counts only as far as it is provably what was received, whatever ended its writer."""

import errno
import hashlib
import json
import os
import subprocess
import sys

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.errors import StoreUnavailable
from workers.partials import opened, remove_old

MIB = 1 << 20
TAG = '"abc"'
BODY = bytes(range(256)) * 100


@pytest.fixture
def target(tmp_path):
    return tmp_path / "1.mp4"


def part(target):
    return target.with_name(f".{target.name}.part")


def mark(target):
    return target.with_name(f".{target.name}.mark")


def begun(target, *bodies, origin="rd_1", validator=TAG, total=100_000):
    with opened(target, origin=origin) as partial:
        partial.begin(validator, total)
        for body in bodies or (BODY,):
            partial.write(body)


def found(target, origin="rd_1"):
    """How much is gone on with."""
    with opened(target, origin=origin) as partial:
        assert partial.sha256 == hashlib.sha256(BODY[: partial.size]).hexdigest()
        assert b"".join(partial.read()) == BODY[: partial.size]
        return partial.size


def test_what_was_left_is_gone_on_with(target):
    begun(target)
    with opened(target, origin="rd_1") as partial:
        assert (partial.size, partial.validator, partial.total) == (len(BODY), TAG, 100_000)
        partial.write(b"more")
        assert partial.sha256 == hashlib.sha256(BODY + b"more").hexdigest()
        partial.move(target)
    assert target.read_bytes() == BODY + b"more"
    assert [file.name for file in target.parent.iterdir()] == ["1.mp4"]


def test_an_error_in_the_middle_leaves_what_came(target):
    with pytest.raises(TypeError):
        begun(target, BODY, "no bytes")
    assert found(target) == len(BODY)


@pytest.mark.parametrize("validator", ["", TAG])
def test_another_render_and_what_has_no_validator_begin_anew(target, validator):
    begun(target, validator=validator)
    assert found(target, origin="rd_1" if validator == "" else "rd_2") == 0
    assert part(target).stat().st_size == 0


def test_bytes_that_are_not_those_received_are_never_gone_on_with(target):
    begun(target)
    with part(target).open("r+b") as file:
        file.seek(1000)
        file.write(b"\0")
    with structlog.testing.capture_logs() as logs:
        assert found(target) == 0
    assert [entry["event"] for entry in logs] == ["partial.discarded"]


@given(cut=st.integers(0, 30_000), extra=st.binary(max_size=50))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_of_another_length_than_its_mark_is_cut_or_begun_anew(target, cut, extra):
    begun(target)
    os.truncate(part(target), min(cut, len(BODY)))
    if cut >= len(BODY):
        with part(target).open("ab") as file:
            file.write(extra)
    assert found(target) == (len(BODY) if cut >= len(BODY) else 0)


@given(st.binary(max_size=300) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
    lambda value: json.dumps({"origin": "rd_1", "validator": TAG, "size": value}).encode()))  # fmt: skip
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mark_that_cannot_be_read_begins_anew(target, text):
    begun(target)
    mark(target).write_bytes(text)
    assert found(target) == 0


@pytest.mark.parametrize("lost", [part, mark])
def test_one_of_the_two_files_alone_is_nothing(target, lost):
    begun(target)
    lost(target).unlink()
    assert found(target) == 0


KILLED = """
import os, sys
from pathlib import Path
from workers.partials import opened
with opened(Path(sys.argv[1]), origin="rd_1") as partial:
    partial.begin('"abc"', 1 << 30)
    for n in range(20):
        partial.write(bytes([n]) * (1 << 20))
    os.kill(os.getpid(), 9)
"""


def test_a_killed_writer_leaves_what_its_last_mark_tells(target):
    subprocess.run([sys.executable, "-c", KILLED, target], check=False)  # noqa: S603 - our own words
    assert part(target).stat().st_size == 20 * MIB
    with opened(target, origin="rd_1") as partial:
        assert partial.size == 16 * MIB
        assert partial.sha256 == hashlib.sha256(b"".join(bytes([n]) * MIB for n in range(16))).hexdigest()


def test_two_at_once_are_one_too_many(target):
    with opened(target, origin="rd_1") as first:
        first.begin(TAG, 9)
        first.write(b"mine")
        with pytest.raises(StoreUnavailable, match="another process"), opened(target, origin="rd_1"):
            pytest.fail("it is taken")
        first.write(b"still")
    with opened(target, origin="rd_1") as second:
        assert second.size == 9


def test_a_file_that_has_its_name_is_not_written_to_any_more(target):
    with opened(target, origin="rd_1") as first:
        first.begin(TAG, 4)
        first.write(b"kept")
        first.move(target)
        with opened(target, origin="rd_2") as second:
            second.write(b"other")
    assert target.read_bytes() == b"kept"


def test_a_link_in_its_place_is_not_followed(target, tmp_path):
    (tmp_path / "elsewhere").write_text("precious")
    part(target).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)), opened(target, origin="rd_1"):
        pytest.fail("it is a link")
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_what_is_old_goes_and_what_is_worked_on_stays(tmp_path):
    for name in ("old", "busy", "new"):
        begun(tmp_path / name)
    for name in ("old", "busy"):
        os.utime(tmp_path / f".{name}.part", (1000, 1000))
    with opened(tmp_path / "busy", origin="rd_1"):
        os.utime(tmp_path / ".busy.part", (1000, 1000))
        remove_old(tmp_path, before=2000)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".busy.mark", ".busy.part", ".new.mark", ".new.part"]
