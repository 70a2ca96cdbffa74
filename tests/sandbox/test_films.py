import hashlib
import struct

import pytest

from workers.sandbox.films import NAMES, Film


def boxes(data: bytes) -> list[tuple[bytes, int]]:
    """Split a movie into its top-level boxes: name and length."""
    found, at = [], 0
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        found.append((name, length))
        at += length
    assert at == len(data)
    return found


def test_a_film_is_a_movie_and_a_free_box():
    film = Film("rnd_1", 50_000)

    data = b"".join(film.read())

    assert len(data) == film.size == 50_000
    assert [name for name, _ in boxes(data)][:2] == [b"ftyp", b"moov"]
    assert boxes(data)[-1][0] == b"free"
    assert hashlib.sha256(data).hexdigest() == film.sha256


def test_every_film_has_bytes_of_its_own_and_always_the_same():
    sums = {Film(f"rnd_{n}", 40_000).sha256 for n in range(50)}

    assert len(sums) == 50
    assert Film("rnd_7", 40_000).sha256 in sums


def test_all_base_films_are_used_and_small():
    bases = {b"".join(Film(f"rnd_{n}", 1).read())[:3000] for n in range(40)}

    assert len(bases) == len(NAMES)
    assert all(Film(f"rnd_{n}", 1).size < 20_000 for n in range(40))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (10, 16_000), (15_000, 90_000), (65_536, 200_000), (299_999, 300_000)]
)
def test_a_part_is_the_same_part_of_the_whole(start, stop):
    film = Film("rnd_2", 300_000)

    assert b"".join(film.read(start, stop)) == b"".join(film.read())[start:stop]


def test_a_large_film_comes_in_pieces():
    assert max(len(piece) for piece in Film("rnd_3", 5_000_000).read()) <= 65_536
