"""Downloads that break off are gone on with where the server provably has the same file, and begun anew where not."""

import ipaddress
import os
import ssl
from collections.abc import Iterator

import httpx2
import pytest

from tests.workers.site import Film, hang_up, sending, serving
from workers.downloads import CONNECTIONS, Downloads
from workers.errors import DownloadFailed, RangeRefused, TargetRefused, TooLarge, UpstreamRefused, WrongFile
from workers.guarded import guarded_client
from workers.partials import opened

KIB = 1 << 10
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
BODY = os.urandom(300 * KIB)
SIZE = len(BODY)
HALF = SIZE // 2


class Case:
    """A partial file of its own, and a client that may reach this machine."""

    def __init__(self, client: httpx2.Client, folder) -> None:
        self.client = client
        self.target = folder / "film"

    def bring(self, film, *, stated=SIZE, origin="rd_1", max_bytes=1 << 20) -> bytes:
        downloads = Downloads(self.client, max_bytes=max_bytes, deadline_s=20)
        with serving(film) as site, opened(self.target, origin=origin) as partial:
            downloads.bring(site.url, partial, stated=stated)
            return b"".join(partial.read())

    def left(self, film, count=HALF, **options) -> None:
        """Let an attempt end with ``count`` bytes here: the server dies after it has sent them."""
        film.after, film.breaks, film.before = count, 1, []
        dying = DyingAfter(film)
        with pytest.raises(DownloadFailed):
            self.bring(dying, **options)
        assert self.there() == count
        film.asked.clear()

    def there(self, origin="rd_1") -> int:
        with opened(self.target, origin=origin) as partial:
            return partial.size


class DyingAfter:
    """Answers once as ``film`` does, and then no more."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.answered = False

    def __call__(self, request) -> None:
        if self.answered:
            hang_up(request)
        else:
            self.answered = True
            self.film(request)


@pytest.fixture
def case(tmp_path) -> Iterator[Case]:
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with guarded_client(trusted=LOOPBACK, read_s=5, ssl_context=no_tls) as client:
        yield Case(client, tmp_path)


def test_a_broken_connection_is_made_again_at_once_and_only_the_rest_is_fetched(case):
    film = Film(BODY, after=100 * KIB, breaks=2)
    assert case.bring(film) == BODY
    assert film.asked == [None, f"bytes={100 * KIB}-", f"bytes={200 * KIB}-"]


def test_not_for_ever(case):
    film = Film(BODY, after=10 * KIB, breaks=99)
    with pytest.raises(DownloadFailed):
        case.bring(film)
    assert len(film.asked) == CONNECTIONS
    assert case.there() == CONNECTIONS * 10 * KIB


def test_a_connection_that_brings_nothing_ends_the_attempt(case):
    film = Film(BODY, after=0, breaks=99)
    with pytest.raises(DownloadFailed):
        case.bring(film)
    assert film.asked == [None]


def test_the_next_attempt_goes_on_where_the_last_one_stopped(case):
    film = Film(BODY)
    case.left(film)
    assert case.bring(film) == BODY
    assert film.asked == [f"bytes={HALF}-"]


def test_also_where_nobody_stated_the_size(case):
    film = Film(BODY)
    case.left(film, stated=None)
    assert case.bring(film, stated=None) == BODY
    assert film.asked == [f"bytes={HALF}-"]


def test_what_is_whole_is_not_asked_for_again(case):
    film = Film(BODY)
    case.bring(film)
    assert case.bring(film) == BODY
    assert film.asked == [None]


@pytest.mark.parametrize("tag", [None, 'W/"v1"', "v1"])
def test_without_a_strong_validator_it_begins_anew(case, tag):
    film = Film(BODY, tag=tag, after=HALF, breaks=1)
    with pytest.raises(DownloadFailed):
        case.bring(film)
    assert case.bring(film) == BODY
    assert film.asked == [None, None]


def test_a_server_without_ranges_sends_it_all_again(case):
    film = Film(BODY)
    case.left(film)
    film.ranges = False
    assert case.bring(film) == BODY
    assert film.asked == [f"bytes={HALF}-"]


def test_another_file_of_the_same_length_is_not_mixed_with_the_first(case):
    film, other = Film(BODY), Film(os.urandom(len(BODY)), tag='"v2"')
    case.left(film)
    assert case.bring(other) == other.body
    assert other.asked == [f"bytes={HALF}-"]


@pytest.mark.parametrize(
    "said",
    [
        {"ETag": '"v2"'},
        {"ETag": None},
        {"Content-Range": None},
        {"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/*"},
        {"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 1}"},
        {"Content-Range": f"bytes {HALF + 1}-{len(BODY) - 1}/{len(BODY)}"},
        {"Content-Range": f"bytes 0-{HALF - 1}/{len(BODY)}"},
        {"Content-Type": "multipart/byteranges; boundary=x", "Content-Range": None},
    ],
    ids=str,
)
def test_a_part_that_does_not_follow_is_not_joined(case, said):
    film = Film(BODY)
    case.left(film)
    film.said = said
    assert case.bring(film) == BODY
    assert film.asked == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("status", [400, 412, 416])
def test_a_server_that_refuses_the_part_is_asked_for_the_whole(case, status):
    film = Film(BODY)
    case.left(film)
    film.before = [sending(status=status, content_length="0")]
    assert case.bring(film) == BODY
    assert film.asked == [f"bytes={HALF}-", None]


def test_one_that_never_sends_a_part_that_follows_ends(case):
    film = Film(BODY)
    case.left(film)
    film.before = [sending(status=416, content_length="0")]
    film.after, film.breaks, film.said = HALF, 99, {"ETag": '"never"'}
    with pytest.raises((RangeRefused, DownloadFailed)):
        case.bring(film)
    assert len(film.asked) <= CONNECTIONS


def test_a_part_that_is_shorter_than_asked_for_is_followed_by_the_next(case):
    def short(request) -> None:
        body = BODY[HALF : HALF + KIB]
        part = f"bytes {HALF}-{HALF + KIB - 1}/{len(BODY)}"
        sending(body, 206, ETag='"v1"', Content_Range=part, Content_Length=str(KIB))(request)

    film = Film(BODY)
    case.left(film)
    film.before = [short]
    assert case.bring(film) == BODY
    assert film.asked == [f"bytes={HALF}-", f"bytes={HALF + KIB}-"]


def test_a_size_that_is_not_the_stated_one_is_noticed_before_a_byte_is_fetched(case):
    with pytest.raises(WrongFile, match=f"should have {len(BODY) + 1} bytes and has {len(BODY)}"):
        case.bring(Film(BODY), stated=len(BODY) + 1)
    assert case.there() == 0


@pytest.mark.parametrize("headers", [{}, {"Transfer_Encoding": "chunked"}])
def test_more_than_stated_is_cut_off(case, headers):
    body = b"400\r\n" + b"x" * 1024 + b"\r\n" if headers else b"x" * 1024
    with pytest.raises(WrongFile, match="should have 1000 bytes and has 1024"):
        case.bring(sending(body, ETag='"v1"', **headers), stated=1000)


def test_fewer_than_stated_from_a_server_that_announced_nothing_are_gone_on_with(case):
    film = Film(BODY)
    film.before = [sending(BODY[:HALF], ETag='"v1"')]
    assert case.bring(film) == BODY
    assert film.asked == [None, f"bytes={HALF}-"]


def test_a_new_size_at_swiftia_begins_anew(case):
    case.left(Film(BODY))
    longer = Film(BODY + b"more")
    assert case.bring(longer, stated=len(longer.body)) == longer.body
    assert longer.asked == [None]


def test_a_part_of_too_large_a_file_is_refused(case):
    film = Film(BODY)
    case.left(film)
    with pytest.raises(TooLarge):
        case.bring(film, max_bytes=len(BODY) - 1)


def test_a_link_that_ran_out_leaves_what_came_for_the_next_link(case):
    film = Film(BODY)
    case.left(film)
    film.before = [sending(status=403, content_length="0")]
    with pytest.raises(UpstreamRefused):
        case.bring(film)
    assert case.there() == HALF
    assert case.bring(film) == BODY


def test_the_rest_is_followed_to_where_a_redirect_leads(case):
    film = Film(BODY)
    case.left(film)
    with serving(film) as elsewhere:
        assert case.bring(sending(status=302, location=elsewhere.url)) == BODY
    assert film.asked == [f"bytes={HALF}-"]


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "http://10.0.0.1/film", "ftp://127.0.0.1/"])
def test_but_never_to_an_inner_address(case, location):
    film = Film(BODY)
    case.left(film)
    film.before = [sending(status=302, location=location)]
    with pytest.raises((TargetRefused, DownloadFailed)):
        case.bring(film)
    assert film.asked == [f"bytes={HALF}-"]
    assert case.there() == HALF


def test_a_name_that_leads_inside_by_now_is_refused_for_the_rest_too(case):
    case.left(Film(BODY))

    def moved(_host, port, **_options):
        return [(2, 1, 6, "", ("192.168.1.1", port))]

    with guarded_client(resolve=moved, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        downloads = Downloads(client, max_bytes=1 << 20, deadline_s=5)
        with opened(case.target, origin="rd_1") as partial, pytest.raises(TargetRefused, match=r"192\.168\.1\.1"):
            downloads.bring("http://films.example.org/film", partial, stated=len(BODY))


def test_the_deadline_holds_for_all_connections_together():
    film = Film(BODY, after=50 * KIB, breaks=99)
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def clock() -> float:
        return 3.0 * len(film.asked)

    with guarded_client(trusted=LOOPBACK, clock=clock, ssl_context=no_tls) as client:
        downloads = Downloads(client, max_bytes=1 << 20, deadline_s=8, clock=clock)
        with serving(film) as site, pytest.raises(DownloadFailed, match=r"in time|within"):
            downloads.bring(site.url, Memory(), stated=len(BODY))
    assert len(film.asked) == 3


class Memory:
    """An unfinished file that lies nowhere."""

    size, validator, total = 0, "", None

    def begin(self, validator="", total=None) -> None:
        self.size, self.validator, self.total = 0, validator, total

    def write(self, data) -> None:
        self.size += len(data)
