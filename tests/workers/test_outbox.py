"""Where deliveries may be addressed to, and which of them lead to the same place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.outbox import delivery_url, target_of


@given(st.text(max_size=200) | st.from_regex(r"https?://[^\s]{0,60}") | st.integers() | st.none())
def test_whatever_is_given_is_an_address_with_a_target_or_our_error(given: object) -> None:
    try:
        url = delivery_url(given)
    except InvalidInput:
        return
    assert url.startswith(("http://", "https://", "HTTP", "Http"))
    assert len(target_of(url)) == 12
    assert not any(sign.isspace() for sign in url)


@pytest.mark.parametrize(
    "url",
    [
        "", "app.example.org", "ftp://app.example.org/", "https://", "https://user:pass@app.example.org/",
        "https://app.example.org/#part", "https://app.example.org:0/", "https://app.example.org:99999/",
        "https://app.example.org/\r\nX: y", "https://[::1", "javascript:alert(1)", "https://" + "a" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="delivery URL"):
        delivery_url(url)


def test_paths_and_queries_are_kept_and_lead_to_the_same_target() -> None:
    assert delivery_url(" https://app.example.org/hooks?key=a%20b ") == "https://app.example.org/hooks?key=a%20b"
    assert target_of("https://app.example.org/a") == target_of("https://app.example.org:443/b?c=d")
    others = {"http://app.example.org/a", "https://app.example.org:444/a", "https://api.example.org/a"}
    assert len({target_of(url) for url in others | {"https://app.example.org/a"}}) == 4
