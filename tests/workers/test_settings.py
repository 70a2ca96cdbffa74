"""The environment becomes one frozen value, or one error with every problem in it and no secret."""

import traceback
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from workers.errors import InvalidSettings
from workers.limits import PLANS, RateLimit
from workers.outbox import EVENTS
from workers.settings import Settings, look_alikes

NAMES = [name.upper() for name in Settings.model_fields]
SECRETS = {
    "REDIS_URL": "redis://app:Zx9-one@cache/0",
    "SWIFTIA_API_KEY": "Zx9-two",
    "CALLBACK_KEYS": "Zx9-three,Zx9-four",
    "WEBHOOK_SIGNING_SECRETS": "whsec_Zx9-five",
    "ADMIN_TOKEN": "Zx9-six",
    "VIEWER_TOKEN": "Zx9-eight",
    "DELIVERY_SECRET": "whsec_Zx9-seven",
}
DEFAULTS = {
    "redis_url": None,
    "require_durable": False,
    "ack_replicas": 0,
    "data_dir": Path("data"),
    "swiftia_api_key": None,
    "swiftia_accounts": None,
    "swiftia_base_url": "https://app.swiftia.io",
    "swiftia_plan": "free",
    "swiftia_rate_limit": None,
    "host": "127.0.0.1",
    "port": 8000,
    "metrics_host": "127.0.0.1",
    "metrics_port": None,
    "public_url": "",
    "callback_keys": (),
    "webhook_signing_secrets": (),
    "admin_token": None,
    "viewer_token": None,
    "console_auth_header": "",
    "trusted_proxies": (),
    "render_rules": None,
    "render_when_unsure": "retry",
    "storage_url": "",
    "keep_videos": True,
    "min_free_bytes": 1 << 30,
    "free_upstream": False,
    "trusted_networks": (),
    "delivery_url": None,
    "delivery_secret": (),
    "delivery_events": EVENTS,
    "delivery_timeout": 15.0,
    "delivery_retry_base": 5.0,
    "delivery_patience": 259_200.0,
    "delivery_threads": 16,
    "handler": "",
    "reconcile_after": 600.0,
    "max_callback_bytes": 1 << 20,
    "spool_max_bytes": 256 << 20,
    "max_result_bytes": 64 << 20,
    "max_video_bytes": 8 << 30,
    "storage_warn_percent": 80.0,
    "archive_days": 90,
    "retention_days": 90,
    "max_attempts": 10,
    "retry_base": 2.0,
    "retry_cap": 600.0,
    "submit_patience": 10.0,
    "submit_dry_run": False,
    "web_concurrency": 2,
    "workers": 4,
    "grace_seconds": 30.0,
    "log_format": "auto",
    "log_level": "info",
}
GIVEN = {
    "REDIS_URL": ("redis://cache/1", SecretStr("redis://cache/1")),
    "REQUIRE_DURABLE": ("yes", True),
    "ACK_REPLICAS": ("2", 2),
    "DATA_DIR": ("/var/lib/swiftia", Path("/var/lib/swiftia")),
    "SWIFTIA_API_KEY": ("key", SecretStr("key")),
    "SWIFTIA_ACCOUNTS": ("accounts.toml", Path("accounts.toml")),
    "SWIFTIA_BASE_URL": (" https://swiftia.example.org/ ", "https://swiftia.example.org"),
    "SWIFTIA_PLAN": (" Swift ", "swift"),
    "SWIFTIA_RATE_LIMIT": ("3/2s", RateLimit(3, 2000)),
    "HOST": ("::1", "::1"),
    "PORT": ("9000", 9000),
    "METRICS_HOST": ("::1", "::1"),
    "METRICS_PORT": ("9464", 9464),
    "PUBLIC_URL": ("https://hooks.example.org/in/", "https://hooks.example.org/in"),
    "CALLBACK_KEYS": ("new, old,", (SecretStr("new"), SecretStr("old"))),
    "WEBHOOK_SIGNING_SECRETS": ("whsec_a,whsec_b", (SecretStr("whsec_a"), SecretStr("whsec_b"))),
    "ADMIN_TOKEN": ("token", SecretStr("token")),
    "VIEWER_TOKEN": ("token", SecretStr("token")),
    "CONSOLE_AUTH_HEADER": (" X-Forwarded-User ", "X-Forwarded-User"),
    "TRUSTED_PROXIES": ("10.0.0.0/8, ::1/128", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
    "RENDER_RULES": ("rules.toml", Path("rules.toml")),
    "RENDER_WHEN_UNSURE": ("PARK", "park"),
    "STORAGE_URL": ("s3://bucket/prefix", "s3://bucket/prefix"),
    "KEEP_VIDEOS": ("off", False),
    "FREE_UPSTREAM": ("on", True),
    "DELIVERY_URL": ("https://app.example.org/in?key=1", "https://app.example.org/in?key=1"),
    "DELIVERY_SECRET": ("whsec_c, whsec_d", (SecretStr("whsec_c"), SecretStr("whsec_d"))),
    "DELIVERY_EVENTS": ("job.finished, job.parked", ("job.finished", "job.parked")),
    "DELIVERY_TIMEOUT": ("3s", 3.0),
    "DELIVERY_RETRY_BASE": ("1s", 1.0),
    "DELIVERY_PATIENCE": ("1d", 86_400.0),
    "DELIVERY_THREADS": ("4", 4),
    "HANDLER": ("acme:on_event", "acme:on_event"),
    "MIN_FREE_BYTES": ("0", 0),
    "TRUSTED_NETWORKS": ("10.0.0.0/8, fd00::/8", (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    "RECONCILE_AFTER": ("2h", 7200.0),
    "MAX_CALLBACK_BYTES": ("64k", 64 << 10),
    "SPOOL_MAX_BYTES": ("1G", 1 << 30),
    "MAX_RESULT_BYTES": ("1 MiB", 1 << 20),
    "MAX_VIDEO_BYTES": ("2G", 2 << 30),
    "STORAGE_WARN_PERCENT": ("66.5", 66.5),
    "ARCHIVE_DAYS": ("180", 180),
    "RETENTION_DAYS": ("0", 0),
    "MAX_ATTEMPTS": ("3", 3),
    "RETRY_BASE": ("500ms", 0.5),
    "RETRY_CAP": ("1.5m", 90.0),
    "SUBMIT_PATIENCE": ("0", 0.0),
    "SUBMIT_DRY_RUN": ("true", True),
    "WEB_CONCURRENCY": ("8", 8),
    "WORKERS": ("1", 1),
    "GRACE_SECONDS": ("1d", 86400.0),
    "LOG_FORMAT": ("JSON", "json"),
    "LOG_LEVEL": ("debug", "debug"),
}


def problems_of(env: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env(env)
    return caught.value.problems


def test_nothing_set_gives_the_defaults() -> None:
    assert Settings.from_env({}).model_dump() == DEFAULTS


@pytest.mark.parametrize("name", NAMES)
def test_each_variable_is_read(name: str) -> None:
    text, value = GIVEN[name]
    found = Settings.from_env({name: text})
    assert getattr(found, name.lower()) == value
    others = {field: other for field, other in found.model_dump().items() if field != name.lower()}
    assert others == {field: value for field, value in DEFAULTS.items() if field != name.lower()}


def test_what_is_none_of_ours_is_left_alone() -> None:
    assert Settings.from_env({"PATH": "/bin", "HOME": "/", "LOGNAME": "x", "port": "junk"}) == Settings()


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_not_set(blank: str) -> None:
    assert Settings.from_env(dict.fromkeys(NAMES, blank)) == Settings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_all_problems_come_in_one_message_with_the_fix() -> None:
    env = {
        "PORT": "99999",
        "WORKERS": "none",
        "RECONCILE_AFTER": "soon",
        "MAX_VIDEO_BYTES": "big",
        "PUBLIC_URL": "hooks.example.org",
        "TRUSTED_NETWORKS": "10.0.0.1/8",
        "SWIFTIA_PLAN": "gold",
        "SWIFTIA_RATE_LIMIT": "fast",
        "KEEP_VIDEOS": "perhaps",
        "SWIFTIA_API_KEYS": "x",
    }
    problems = problems_of(env)
    assert len(problems) == len(env)
    message = str(InvalidSettings(problems))
    for name in env:
        assert f"- {name}" in message
    for text in ("did you mean SWIFTIA_API_KEY?", "such as 10m", "such as 64M", "such as 5/1s", "10.1.0.0/16"):
        assert text in message
    assert "PORT='99999'" in message
    assert message.count("deploy/example.env") == len(env) - 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RECONCILE_AFTER", "-1s"),
        ("RECONCILE_AFTER", "1e3"),
        ("RECONCILE_AFTER", "nan"),
        ("MAX_CALLBACK_BYTES", "0"),
        ("MAX_CALLBACK_BYTES", "1.5M"),
        ("MAX_ATTEMPTS", "0"),
        ("PORT", "0"),
        ("METRICS_PORT", "0"),
        ("METRICS_PORT", "8000"),
        ("PORT", "9" * 5000),
        ("CONSOLE_AUTH_HEADER", "X Forwarded User"),
        ("CONSOLE_AUTH_HEADER", "X_Forwarded_User"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PUBLIC_URL", "ftp://example.org"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://[::1"),
        ("PUBLIC_URL", "https://example.org?a=1"),
        ("PUBLIC_URL", "https://exa mple.org"),
        ("PUBLIC_URL", "https://example.org/\nX: y"),
        ("LOG_LEVEL", "loud"),
        ("SWIFTIA_RATE_LIMIT", "0/1s"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, text: str) -> None:
    (problem,) = problems_of({name: text})
    assert problem.startswith(f"{name}=")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("SWIFTIA_APIKEY", "SWIFTIA_API_KEY"),
        ("CALLBACK_KEY", "CALLBACK_KEYS"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("PUBLIC_URI", "PUBLIC_URL"),
        ("RENDER_RULE", "RENDER_RULES"),
        ("DELIVERY_URLS", "DELIVERY_URL"),
    ],
)
def test_a_typing_error_is_told_from_a_stranger(key: str, meant: str) -> None:
    assert problems_of({key: "x"}) == [f"{key} is not known; did you mean {meant}?"]


def test_every_variable_of_swiftia_is_ours() -> None:
    assert problems_of({"SWIFTIA_COLOUR": "x"})[0].startswith("SWIFTIA_COLOUR is not known")


@pytest.mark.parametrize("key", ["LOG_DIRECTORY_OF_ANOTHER_PROGRAM", "REDIS_PASSWORD_FILE", "MAX_X"])
def test_what_only_begins_alike_is_no_problem(key: str) -> None:
    assert look_alikes({key: "x"}) == []


def test_secrets_show_nowhere() -> None:
    found = Settings.from_env(SECRETS)
    assert found.swiftia_api_key == SecretStr("Zx9-two")
    for text in (repr(found), str(found), repr(found.model_dump()), f"{found!s}"):
        assert "Zx9" not in text


def test_not_even_in_the_traceback_of_an_error() -> None:
    env = {**SECRETS, "PORT": "x", "ADMIN_TOKENS": "Zx9-seven"}
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env(env)
    told = "".join(traceback.format_exception(caught.value))
    assert "PORT" in told
    assert "Zx9" not in told
    assert "Zx9" not in repr(caught.value.problems)


TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "1",
        "0",
        "-1",
        "1/0s",
        "5/1s",
        "10m",
        "64M",
        "true",
        "https://x",
        "https://[",
        "10.0.0.0/8",
        ",",
        "free",
        "\ud800",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*NAMES, "SWIFTIA_KEY"]), TEXTS))
def test_any_text_gives_settings_or_our_error(env: dict[str, str]) -> None:
    try:
        found = Settings.from_env(env)
    except InvalidSettings:
        return
    assert found.rate_limit.requests >= 1
    assert found.own_url.startswith("http://")
    assert found.callback_base.startswith("http")
    assert found.artifacts_url


@settings(max_examples=100, deadline=None)
@given(
    secret=st.sampled_from(sorted(SECRETS)),
    junk=st.text(max_size=20),
    others=st.dictionaries(st.sampled_from(sorted(set(NAMES) - set(SECRETS))), TEXTS),
)
def test_no_message_holds_a_secret(secret: str, junk: str, others: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env({**others, secret: f"Zx9{junk}", "PORT": "x"})
    assert "Zx9" not in str(caught.value)


def test_the_rate_is_the_plans_unless_it_is_given() -> None:
    assert Settings.from_env({"SWIFTIA_PLAN": "pro"}).rate_limit == PLANS["pro"]
    assert Settings.from_env({"SWIFTIA_PLAN": "pro", "SWIFTIA_RATE_LIMIT": "2/1s"}).rate_limit == RateLimit(2, 1000)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")],  # noqa: S104 - read, not bound
)
def test_callbacks_come_to_this_machine_unless_a_public_url_is_given(host: str, url: str) -> None:
    assert Settings.from_env({"HOST": host}).callback_base == url
    assert Settings.from_env({"HOST": host, "PUBLIC_URL": "https://x.example"}).callback_base == "https://x.example"


def test_artifacts_lie_in_the_data_directory_unless_a_place_is_given() -> None:
    assert Settings.from_env({"DATA_DIR": "/srv/x"}).artifacts_url == "file:///srv/x/artifacts"
    assert Settings.from_env({"STORAGE_URL": "s3://b"}).artifacts_url == "s3://b"
