"""Paging through with any filter gives exactly what fits, once, newest first."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from workers import keys
from workers.errors import InvalidInput
from workers.filters import EVERYTHING, Wanted
from workers.identifiers import JobSubject, RefSubject
from workers.ledger import Ledger
from workers.listing import Listing
from workers.records import loaded
from workers.states import JobState

NOW = 1_800_000_000_000
FUNCTIONS, ACCOUNTS, ORDERS = ("VideoShorts", "Other"), ("acme", "umbrella", None), (7, "7", 8, True, None)
TITLES = ("A strong claim", "Strong coffee", "a CLAIM of weakness", "42")
MOMENTS = st.none() | st.integers(NOW - 1, NOW + 13)
REFS = [f"{number:022}" for number in range(30)]


def job_of(place: int) -> str:
    return f"job_{place}"


@pytest.fixture(scope="module")
def filled(valkey_server) -> Iterator[Redis]:
    """Thirty submissions over twelve milliseconds; every third has no job id, some are parked or failed."""
    with Redis.from_url(valkey_server.url, db=3) as redis:
        redis.flushdb()
        for place, ref in enumerate(REFS):
            ledger = Ledger(redis, now_ms=lambda place=place: NOW + place * 12 // 30)
            fields = {
                "function": FUNCTIONS[place % 2],
                "title": TITLES[place % 4],
                "metadata": {"order": ORDERS[place % 5], "place": place},
                "request": {},
                **({"account": account} if (account := ACCOUNTS[place % 3]) else {}),
            }
            ledger.open_ref(ref, state="queued", fields=fields, due_ms=0)
            if place % 3:
                title = {"title": TITLES[place % 4]}
                ledger.link(ref, job_of(place), first_ms=0, by="test", fields=title, account="", unnamed="")
            if place % 4 == 1:
                subject = JobSubject(job_of(place)) if place % 3 else RefSubject(ref)
                record = ledger.claim(subject, "fetch" if place % 3 else "submit")
                assert record is not None
                assert ledger.move(record, "parked", reason="a test says so")
        yield redis
        redis.flushdb()


def everything(redis: Redis) -> list[tuple[float, bytes]]:
    entries = [one for state in JobState for one in redis.zrange(keys.jobs_in(state), 0, -1, withscores=True)]
    assert len(entries) == len(REFS)
    return sorted(((score, member) for member, score in entries), reverse=True)


def fits(redis: Redis, wanted: Wanted, score: float, member: bytes) -> bool:
    """The same rules, told once more and without any index."""
    name = member.decode()
    fields = redis.hgetall(f"sr:{name}" if name.startswith("ref:") else f"sr:job:{name}")
    record = {key.decode(): value.decode() for key, value in fields.items()}
    state = "waiting" if record["state"] == "queued" else record["state"]
    metadata = loaded(record["metadata"])
    said = {key: value if isinstance(value, str) else str(value).lower() for key, value in metadata.items()}
    said = {key: "null" if value == "none" else value for key, value in said.items()}
    return (
        wanted.state in (None, state)
        and (wanted.since_ms is None or score >= wanted.since_ms)
        and (wanted.until_ms is None or score < wanted.until_ms)
        and (wanted.ref is None or record.get("ref", name.removeprefix("ref:")) == wanted.ref)
        and (wanted.function is None or record["function"] == wanted.function)
        and (wanted.account is None or record.get("account") == wanted.account)
        and all(said.get(key) == value for key, value in wanted.metadata)
        and all(word in record["title"].lower() for word in wanted.words)
    )


WANTED = st.builds(
    Wanted,
    state=st.none() | st.sampled_from([JobState.WAITING, JobState.PARKED, JobState.FINISHED]),
    since_ms=MOMENTS,
    until_ms=MOMENTS,
    ref=st.none() | st.none() | st.sampled_from([*REFS, "x" * 22]),
    function=st.none() | st.sampled_from([*FUNCTIONS, "None"]),
    account=st.none() | st.sampled_from(["acme", "umbrella", "nobody"]),
    metadata=st.lists(
        st.sampled_from([("order", "7"), ("order", "true"), ("order", "null"), ("place", "11"), ("other", "1")]),
        max_size=2,
    ).map(tuple),
    words=st.lists(st.sampled_from(["strong", "claim", "4", "weak", "nowhere"]), max_size=2).map(tuple),
)


@given(wanted=WANTED, limit=st.integers(1, 12), most=st.integers(1, 40))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_paging_through_gives_exactly_what_fits_once(filled, wanted, limit, most):
    listing = Listing(filled, most=most)
    names, cursor = [], None
    for _ in range(200):
        page = listing.page(wanted, cursor, limit)
        assert len(page.items) <= limit
        names += [str(item.subject) for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert cursor is None
    assert names == [member.decode() for score, member in everything(filled) if fits(filled, wanted, score, member)]


class Counting(Redis):
    """Remembers how many records were asked for."""

    looked_at = 0

    def evalsha(self, sha, numkeys, *rest):
        answer = super().evalsha(sha, numkeys, *rest)
        self.looked_at += numkeys
        return answer


@pytest.mark.usefixtures("filled")
def test_one_page_looks_at_no_more_than_it_may(valkey_server):
    with Counting.from_url(valkey_server.url, db=3) as redis:
        page = Listing(redis, most=7).page(Wanted(function="nobody's"), None, 100)
    assert (page.items, redis.looked_at) == ((), 7)
    assert page.next is not None


def test_a_short_page_goes_on_where_it_stopped_looking(filled):
    listing = Listing(filled, most=5)
    cursor, pages = None, []
    while True:
        page = listing.page(Wanted(metadata=(("place", "0"),)), cursor, 10)
        pages.append([item.ref for item in page.items])
        cursor = page.next
        if cursor is None:
            break
    assert pages == [[], [], [], [], [], [REFS[0]]]


def test_windows_of_time_tile(filled):
    listing = Listing(filled)
    edges = [None, NOW + 3, NOW + 4, NOW + 9, None]
    found = [
        str(item.subject)
        for since, until in pairwise(edges)
        for item in listing.page(Wanted(since_ms=since, until_ms=until), None, 100).items
    ]
    whole = listing.page(EVERYTHING, None, 100).items
    assert sorted(found) == sorted(str(item.subject) for item in whole)


@pytest.mark.parametrize("ref", ["", "short", "a b" * 10, "é" * 22])
def test_a_ref_that_is_none_is_invalid_input(filled, ref):
    with pytest.raises(InvalidInput, match="a ref is"):
        Listing(filled).page(Wanted(ref=ref), None, 1)


# Searching


def found(page) -> list[str]:
    return [str(item.subject) for item in page.items]


def test_a_job_is_found_by_its_id_its_ref_and_its_refs_name(filled):
    listing = Listing(filled, most=0)  # without walking through anything
    for text in ("job_4", " job_4 ", REFS[4], f"ref:{REFS[4]}"):
        assert found(listing.search(text, EVERYTHING, None, 10)) == ["job_4"]
    assert found(listing.search(REFS[3], EVERYTHING, None, 10)) == [f"ref:{REFS[3]}"]


@pytest.mark.parametrize(
    "other",
    [
        {"state": JobState.PARKED},
        {"since_ms": NOW + 2},
        {"until_ms": NOW + 1},
        {"account": "acme"},
        {"ref": REFS[5]},
    ],
)
def test_a_name_is_narrowed_by_filters_like_anything(filled, other):
    listing = Listing(filled)
    fitting = Wanted(since_ms=NOW + 1, until_ms=NOW + 2, account="umbrella", ref=REFS[4])
    assert found(listing.search("job_4", fitting, None, 10)) == ["job_4"]
    assert found(listing.search("job_4", Wanted(**other), None, 10)) == []


def test_what_is_no_name_is_metadata_or_words(filled):
    listing = Listing(filled)
    assert found(listing.search("place=4", EVERYTHING, None, 10)) == ["job_4"]
    assert found(listing.search("CLAIM strong", Wanted(metadata=(("place", "4"),)), None, 10)) == ["job_4"]
    assert found(listing.search("42", Wanted(until_ms=NOW + 3), None, 10)) == ["job_7", f"ref:{REFS[3]}"]
    assert found(listing.search("job_999", EVERYTHING, None, 10)) == []


def test_a_search_goes_on_from_its_cursor_and_says_how_far_it_looked(filled):
    listing = Listing(filled, most=10)
    first = listing.search("place=0", EVERYTHING, None, 10)
    assert (first.items, first.looked_back_to) == ((), "2027-01-15T08:00:00.008Z")
    second = listing.search("place=0", EVERYTHING, first.next, 10)
    assert (second.items, second.looked_back_to) == ((), "2027-01-15T08:00:00.004Z")
    third = listing.search("place=0", EVERYTHING, second.next, 10)
    assert (found(third), third.looked_back_to) == ([f"ref:{REFS[0]}"], None)


def test_a_full_page_says_nothing_of_how_far_it_looked(filled):
    page = Listing(filled).search("strong", EVERYTHING, None, 3)
    assert (len(page.items), page.looked_back_to, page.next is None) == (3, None, False)


def test_looking_ends_when_it_has_taken_its_time(filled):
    seconds = iter(range(100))
    listing = Listing(filled, at_once=4, patience_s=3.0, now=lambda: next(seconds))
    page = listing.search("nowhere", EVERYTHING, None, 10)
    assert (page.items, page.looked_back_to) == ((), "2027-01-15T08:00:00.007Z")


@pytest.mark.parametrize("limit", [0, 101])
def test_a_search_has_the_limits_of_a_listing(filled, limit):
    with pytest.raises(InvalidInput, match="limit is 1 to 100"):
        Listing(filled).search("job_4", EVERYTHING, None, limit)


# Another database: this one empties all of them.


def test_a_callback_url_that_was_not_used_yet_is_not_listed(redis):
    Ledger(redis).open_ref(REFS[0], state="open", fields={}, due_ms=None)
    listing = Listing(redis)
    assert listing.page(Wanted(ref=REFS[0]), None, 1).items == ()
    assert found(listing.search(REFS[0], EVERYTHING, None, 1)) == [f"ref:{REFS[0]}"], "but it may be asked for"
    assert found(listing.search(REFS[0], Wanted(state=JobState.PARKED), None, 1)) == []
    assert found(listing.search(REFS[0], Wanted(until_ms=1), None, 1)) == []
