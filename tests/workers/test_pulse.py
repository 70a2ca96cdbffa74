import contextlib
import time

import pytest

from workers.notify import Listener, Notifier
from workers.pulse import Laps, keep_telling


@pytest.fixture
def listener():
    with contextlib.closing(Listener()) as made:
        yield made


def heard_within(listener, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if listener.heard():
            return True
        time.sleep(0.05)
    return False


def test_a_lap_is_told_once():
    laps = Laps()
    assert laps.any_new(), "the start counts as one"
    assert not laps.any_new()
    laps.passed()
    laps.passed()
    assert laps.any_new()
    assert not laps.any_new()


def test_it_tells_as_long_as_the_loop_passes_and_again_when_it_passes_again(listener, eventually):
    laps = Laps()
    keep_telling(Notifier(listener.address), laps.any_new, patience_s=2)
    for _ in range(8):
        laps.passed()
        assert heard_within(listener, 2)
    # The loop hangs: for 2 s it is still patient with it.
    eventually(lambda: not heard_within(listener, 1.9), timeout=10)
    laps.passed()
    assert heard_within(listener, 2)


def test_without_a_listener_there_is_nothing_to_do():
    asked = []
    keep_telling(Notifier(None), lambda: bool(asked.append(1)))
    time.sleep(0.1)
    assert asked == []
