import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import CredentialsRefused, RateLimited, ServiceError, UpstreamRefused, UpstreamUnavailable
from workers.refusals import MAX_RETRY_AFTER_S, refusal

SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = ["status", "message", "code", "error", "retryAfter", "phoneNumber", "storageInfo", "usedSize", "totalSize"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["fullStorage", "noEnoughCredit", "\ud800", "+4915112345678"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
DATES = st.sampled_from(
    ["Mon, 03 Feb 2025 08:09:10 GMT", "Mon, 03 Feb 2025 08:09:10 -0000", "Mon, 99 Feb 99999999999 08:09:10 GMT", "soon"]
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date"]), DATES | st.text(max_size=9) | st.integers().map(str), max_size=2
)


def refused(status, body=b"", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(status, named, raw, doing="trying it")


def sample(name):
    (head,) = (SAMPLES / name).glob("*.json")
    headers = json.loads(head.read_text())
    return refusal(int(head.stem), headers, (SAMPLES / name / "body").read_bytes(), doing="trying it")


def shown(error):
    return f"{error!s} {error!r} {error.args!r} {error.values!r} {vars(error)!r}"


@pytest.mark.parametrize(
    ("name", "kind", "fragment"),
    [
        ("refused_bad_request", "bad-request", "start must be smaller than end"),
        ("refused_full_storage", "storage-full", "delete files"),
        ("refused_phone", "phone-verification", "verify it"),
        ("refused_credit", "no-credit", "buy credits"),
        ("refused_not_found", "not-found", "check the id"),
    ],
)
def test_refusals_for_good(name, kind, fragment):
    error = sample(name)
    assert isinstance(error, UpstreamRefused)
    assert error.kind == kind
    assert error.message.startswith("trying it: ")
    assert fragment in error.message


@pytest.mark.parametrize("name", ["refused_key", "refused_key_general_form", "refused_other_organization"])
def test_refused_keys(name):
    error = sample(name)
    assert isinstance(error, CredentialsRefused)
    assert "SWIFTIA_API_KEY" in error.message


def test_full_storage_tells_how_full():
    assert sample("refused_full_storage").values == {"used": 96.0, "total": 100.0, "available": 4.0}


def test_upstream_trouble():
    error = sample("unavailable_failed_deletion")
    assert isinstance(error, UpstreamUnavailable)
    assert error.sent
    assert "storage did not answer" in error.message
    page = sample("unavailable_proxy_page")
    assert page.retry_after == 20
    assert "<" not in page.message


@pytest.mark.parametrize("status", [100, 204, 302, 308, 408, 425, 500, 502, 503, 504, 599, 999])
def test_what_may_pass_later(status):
    error = refused(status)
    assert isinstance(error, UpstreamUnavailable)
    assert error.sent


def test_a_redirect_names_the_setting():
    assert "SWIFTIA_BASE_URL" in sample("redirected").message


@pytest.mark.parametrize("status", [402, 405, 409, 410, 413, 415, 422, 451])
def test_other_refusals(status):
    error = refused(status, {"message": "no"})
    assert (error.kind, error.status) == ("refused", status)
    assert "Swiftia says: no" in error.message


def test_forbidden_otherwise():
    assert refused(403, {"message": "not on your plan", "code": "FORBIDDEN"}).kind == "forbidden"
    assert refused(403).kind == "forbidden"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, {}, 1),
        ({"Retry_After": "3"}, {}, 3),
        ({"retry_after": "3"}, {"retryAfter": 5}, 5),
        ({"RETRY_AFTER": "7"}, {"retryAfter": 5}, 7),
        ({"Retry_After": "0"}, {}, 1),
        ({"Retry_After": "-5"}, {}, 1),
        ({"Retry_After": "soon"}, {"retryAfter": "2.5"}, 2.5),
        ({"Retry_After": "999999999"}, {}, MAX_RETRY_AFTER_S),
        ({"Retry_After": "Mon, 03 Feb 2025 08:09:40 GMT", "Date": "Mon, 03 Feb 2025 08:09:10 GMT"}, {}, 30),
        ({"Retry_After": "Mon, 03 Feb 2025 08:09:40 GMT"}, {}, 1),
        ({"Retry_After": "Mon, 03 Feb 2025 08:09:00 GMT", "Date": "Mon, 03 Feb 2025 08:09:10 GMT"}, {}, 1),
    ],
)
def test_how_long_to_stay_away(headers, body, expected):
    error = refused(429, body, **headers)
    assert isinstance(error, RateLimited)
    assert error.retry_after == expected


def test_both_generations_of_a_rate_limit():
    assert sample("refused_rate_limit_older_docs").retry_after == 3
    assert sample("refused_rate_limit_newer_docs").retry_after == 5


NUMBERS = [
    "+15550100",
    "+49 (151) 234-567 89",
    "0151/2345678",
    "555.010.0199",
    "1 555 010 0199",
    "+1\u2011555\u20110100",
    "٠١٢٣٤٥٦٧٨",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("status", [400, 403, 404, 409, 500])
def test_no_phone_number_gets_through(number, status):
    for body in (
        {"error": "Phone verification required", "message": f"verify {number}", "phoneNumber": number},
        {"message": f"we sent a code to {number}.", "code": number},
        {"error": f"{number} is not verified"},
        {"error": {"message": f"call\u200b {number}"}},
        {"message": "\u200b".join(number)},
    ):
        assert number not in shown(refused(status, body))
        assert not any(len(run) >= 4 for run in _runs(shown(refused(status, body))))


def _runs(line):
    return "".join(sign if sign.isdigit() else " " for sign in line).split()


def test_the_sample_with_a_phone_number():
    assert not {"15550100", "555", "0100"} & {*_runs(shown(sample("refused_phone")))}


def test_foreign_words_are_one_short_line():
    error = refused(400, {"message": "a\r\n\x1b[31mb\u2028c\u202e" + "x" * 999})
    assert error.message.isprintable()
    assert len(error.message) < 450
    assert error.message.endswith("…")


@settings(max_examples=300)
@given(st.integers(100, 999), HEADERS, st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_one_of_ours(status, headers, body):
    error = refusal(status, headers, body, doing="trying it")
    assert isinstance(error, ServiceError)
    error.message.encode()
    wait = getattr(error, "retry_after", None)
    assert wait is None or 0 < wait <= MAX_RETRY_AFTER_S
    assert "15112345678" not in shown(error)
