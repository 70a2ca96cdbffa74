"""What the benchmark of the limiter goes by: its reckoning of slots, and its wire that delays."""

import socket
import struct
import threading

import pytest

from tests.bench.delays import delayed
from tests.bench.looks import DRY, LOOK_EVERY_S, STRETCH_S, shares

NAMES = ("submit", "fetch", "watch")
LONG = round(STRETCH_S / LOOK_EVERY_S)


def looks(count, waits, each):
    """``each``: slots that a class is given between two looks."""
    return [
        {"at": n * LOOK_EVERY_S, "waits": waits, "given": {name: n * each.get(name, 0) for name in NAMES}, "load": 0.0}
        for n in range(count)
    ]


def test_slots_are_counted_by_class():
    found = shares(looks(LONG, ["submit"], {"submit": 2, "watch": 1}))
    assert found.given == {"submit": 2 * (LONG - 1), "fetch": 0, "watch": LONG - 1}
    assert found.below is None, "nothing waited beside it"


def test_the_share_below_the_first_that_waits():
    found = shares(looks(LONG, ["fetch", "watch"], {"submit": 1, "fetch": 2, "watch": 1}))
    assert found.below == pytest.approx(1 / 4)


def test_what_waits_in_vain_for_long_is_starved():
    each = {"submit": 1}
    assert shares(looks(LONG * DRY, ["submit", "watch"], each)).starved == ["watch"]
    assert shares(looks(LONG * (DRY - 1), ["submit", "watch"], each)).starved == []
    assert shares(looks(LONG * DRY, ["submit"], each)).starved == []


@pytest.fixture
def far():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.fixture
def near(far):
    """A client's connection through the proxy."""
    with delayed(f"http://127.0.0.1:{far.getsockname()[1]}", 0.02, seed=1) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            yield client


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_what_passes_is_whole_and_in_order_both_ways(near, far):
    served, _ = far.accept()
    pieces = [bytes([n % 256]) * 1000 for n in range(200)]

    def write():
        for piece in pieces:
            near.sendall(piece)
        near.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    with served:
        got = read_all(served)
        served.sendall(got)
    writer.join()
    assert got == read_all(near) == b"".join(pieces)


def test_a_reset_arrives_as_one(near, far):
    served, _ = far.accept()
    near.sendall(b"x")
    assert served.recv(1) == b"x"
    served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    served.close()
    with pytest.raises(ConnectionResetError):
        near.recv(1)


def test_nobody_there_is_the_end(far):
    port = far.getsockname()[1]
    far.close()
    with (
        delayed(f"http://127.0.0.1:{port}", 0.02, seed=1) as url,
        pytest.raises(ConnectionResetError),  # of a quick one, before it is connected
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as client,
    ):
        client.recv(1)
