"""The file of accounts: read whole, every problem told at once, no key told ever."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from workers.accountfile import read_accounts
from workers.accounts import Account, Accounts
from workers.errors import AccountMissing, InvalidInput, InvalidSettings
from workers.identifiers import is_account
from workers.limits import PLANS, RateLimit
from workers.roster import read_all
from workers.rules import RenderRule
from workers.settings import Settings
from workers.wiring import build

KEY = "Zx9-a-key"
RULES = {"default": RenderRule(shorts=1)}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def read(text: str, read_file: Callable[[str], str] = lambda _: KEY) -> dict[str, Account]:
    return read_accounts(text, base_url="https://app.swiftia.io", rules=RULES, read_file=read_file)


def problems(text: str, read_file: Callable[[str], str] = lambda _: KEY) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        read(text, read_file)
    assert "Zx9" not in str(caught.value)
    return caught.value.problems


def test_a_table_is_an_account() -> None:
    found = read(
        f'[acme]\nkey = "{KEY}"\nplan = "pro"\n'
        f'[beta]\nkey_file = "b"\nrate_limit = "5/2s"\nbase_url = "http://[::1]:8010/"\n'
        f'delivery_url = "https://x.example"\ndelivery_secret = "{SECRET}"\n'
        "[beta.render.VideoShorts]\nshorts = 3\n",
        read_file=lambda path: f"{path}-key\n",
    )
    acme, beta = found["acme"], found["beta"]
    assert (acme.name, acme.rate_limit, acme.base_url) == ("acme", PLANS["pro"], "https://app.swiftia.io")
    assert acme.key is not None
    assert acme.key.get_secret_value() == KEY
    assert acme.rules == RULES
    assert beta.key is not None
    assert beta.key.get_secret_value() == "b-key"
    assert (beta.rate_limit, beta.base_url) == (RateLimit(5, 2000), "http://[::1]:8010")
    assert beta.rules == {"VideoShorts": RenderRule(shorts=3)}
    assert "Zx9" not in repr(found)


def test_without_a_plan_it_is_the_least() -> None:
    assert read(f'[acme]\nkey = "{KEY}"')["acme"].rate_limit == PLANS["free"]


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        'key = "Zx9"\n["A B"]\nkey = "Zx9"\n[a]\nplan = "Zx9"\nrate_limit = "Zx9"\nbase_url = "Zx9"\nkeys = "Zx9"\n'
        '[b]\nkey = "Zx9"\nkey_file = "x"\nplan = "pro"\nrate_limit = "5/1s"\n[b.render.VideoShorts]\nshorts = -1\n'
    )
    told = "\n".join(found)
    for words in (
        "[key] must be a table",
        "[A B] is no name of an account",
        "[a] plan: is no plan; the plans are free",
        "[a] rate_limit: is no rate limit",
        "[a] base_url: is no http(s) address",
        "[a] keys is not known; the fields are key, key_file",
        "[b] needs either key or key_file",
        "[b] has plan and rate_limit",
        "[b] render.VideoShorts shorts",
    ):
        assert words in told
    assert len(found) == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no account"),
        ('a = "Zx9', "is no TOML"),
        ('a = Zx9"', "is no TOML (at line 1, column 5)"),
        ("[a]\n", "[a] needs either key or key_file"),
        ('[a]\nkey = "Zx9 with space"', "[a] key: is empty or has signs"),
        ('[a]\nkey = "Zx9ä"', "[a] key: is empty or has signs"),
        ("[a]\nkey = 9", "[a] key: Input should be"),
        ('[a]\nkey = "k"\nbase_url = "https://Zx9:pw@x.example"', "[a] base_url: is an address with a user"),
        ('[a]\nkey = "k"\nbase_url = "https://["', "[a] base_url: "),
        ('[a]\nkey = "k"\ndelivery_url = "ftp://x"', "[a] delivery_url: is no http(s) address"),
        ('[a]\nkey = "k"\ndelivery_secret = "Zx9"', "[a] delivery_secret: a webhook secret starts with"),
        ('[a]\nkey = "Zx9"\n[b]\nkey = "Zx9"', "a and b have the same key"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, words: str) -> None:
    (problem,) = problems(text)
    assert words in problem


def test_the_same_key_elsewhere_is_another_organization() -> None:
    assert len(read('[a]\nkey = "k"\n[b]\nkey = "k"\nbase_url = "https://other.example"')) == 2


@given(st.text(max_size=60) | st.text(max_size=30).map(lambda text: f"[a]\nkey = {text}\nplan = {text}"))
def test_any_text_is_accounts_or_our_error(text: str) -> None:
    try:
        assert all(is_account(name) for name in read(text))
    except InvalidSettings as error:
        assert error.problems  # noqa: PT017 - either is right


# Whose a job is


def accounts(*names: str) -> Accounts:
    made = {name: Account(name, None, PLANS["free"], "https://x.example", {}) for name in names}
    return Accounts(made)


@pytest.mark.parametrize(
    ("names", "unnamed"),
    [((("",)), ""), (("acme",), "acme"), (("acme", "default"), "default"), (("", "acme"), ""), (("a", "b"), None)],
)
def test_a_job_that_names_none_is_the_unnamed_ones(names: tuple[str, ...], unnamed: str | None) -> None:
    found = accounts(*names)
    assert found.unnamed == unnamed
    assert found.of("") == (None if unnamed is None else found.by_name[unnamed])
    if unnamed is not None:
        assert found.choose(None) == found.choose("") == unnamed


def test_what_is_not_clear_is_asked_for_by_name() -> None:
    with pytest.raises(InvalidInput, match="account is missing; the accounts here are a, b"):
        accounts("b", "a").choose(None)
    with pytest.raises(InvalidInput, match="account is not known; the accounts here are a, b"):
        accounts("b", "a").choose("c")
    with pytest.raises(InvalidInput, match="one key; SWIFTIA_ACCOUNTS"):
        accounts("").choose("a")
    assert accounts("b", "a").choose("a") == "a"


# The file on the disk


@pytest.fixture
def from_file(tmp_path: Path) -> Callable[..., Accounts]:
    def from_text(text: str, **env: str) -> Accounts:
        path = tmp_path / "accounts.toml"
        path.write_text(text)
        return read_all(Settings.from_env({"SWIFTIA_ACCOUNTS": str(path), **env}))

    return from_text


def test_without_a_file_there_is_the_one_key() -> None:
    found = read_all(Settings.from_env({"SWIFTIA_API_KEY": KEY, "SWIFTIA_PLAN": "pro"}))
    assert list(found.by_name) == [""]
    assert (found.several, found.by_name[""].rate_limit) == (False, PLANS["pro"])


def test_a_key_file_lies_beside_it(from_file: Callable[..., Accounts], tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "acme").write_text(f"{KEY}\n")
    key = from_file('[acme]\nkey_file = "keys/acme"').by_name["acme"].key
    assert key is not None
    assert key.get_secret_value() == KEY


@pytest.mark.parametrize("name", ["keys/none", ".", "a\\u0000b"])
def test_a_key_file_that_cannot_be_read_is_named(from_file: Callable[..., Accounts], name: str) -> None:
    with pytest.raises(InvalidSettings, match=r"\[acme\] key_file: .* cannot be read"):
        from_file(f'[acme]\nkey_file = "{name}"')


def test_the_one_key_may_stay_beside_the_file(from_file: Callable[..., Accounts]) -> None:
    found = from_file('[acme]\nkey = "k"', SWIFTIA_API_KEY="another")
    assert (set(found.by_name), found.unnamed, found.several) == ({"", "acme"}, "", True)
    with pytest.raises(InvalidSettings, match=r"SWIFTIA_API_KEY and acme have the same key"):
        from_file('[acme]\nkey = "k"', SWIFTIA_API_KEY="k")
    with pytest.raises(InvalidSettings, match=r"has \[default\]: each is the account of jobs that name none"):
        from_file('[default]\nkey = "k"', SWIFTIA_API_KEY="another")


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"SWIFTIA_ACCOUNTS=.*none\.toml"):
        read_all(Settings.from_env({"SWIFTIA_ACCOUNTS": str(tmp_path / "none.toml")}))


def test_each_account_has_a_way_of_its_own(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text('[default]\nkey = "k"\nplan = "pro"\n[acme]\nkey = "l"\nrate_limit = "7/1s"\n')
    env = {"SWIFTIA_ACCOUNTS": str(path), "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path)}
    services: Any = build(Settings.from_env(env), redis)
    assert {name: budget.limit for name, budget in services.budgets.items()} == {
        "": PLANS["pro"], "default": PLANS["pro"], "acme": RateLimit(7, 1000)
    }  # fmt: skip
    assert services.budgets[""] is services.budgets["default"] is services.upstreams.of("").budget
    services.budgets["acme"].take("fetch", "c")
    assert (services.budgets["acme"].peek().used, services.budgets[""].peek().used) == (1, 0)
    with pytest.raises(AccountMissing, match="the account beta is not told by SWIFTIA_ACCOUNTS"):
        services.upstreams.of("beta")
