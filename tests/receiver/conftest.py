"""The web application over real parts: Valkey, a folder for artifacts, and no Swiftia at all."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.serving import make_server

from receiver.app import create_app
from workers.artifacts import Artifacts
from workers.sandbox import Sandbox
from workers.services import Services
from workers.settings import Settings
from workers.tokens import shared_token, token
from workers.valkey import EmbeddedValkey
from workers.wiring import build, open_intake

ADMIN = "an-admin-token-of-tests"
CALLBACK_KEY = "a-callback-key-of-tests"


def environment(data: Path, redis_url: str) -> dict[str, str]:
    return {
        "DATA_DIR": str(data),
        "REDIS_URL": redis_url,
        "ADMIN_TOKEN": ADMIN,
        "CALLBACK_KEYS": CALLBACK_KEY,
        # Nothing listens there: a test that means Swiftia says so.
        "SWIFTIA_BASE_URL": "http://127.0.0.1:1",
        "SWIFTIA_API_KEY": "a-key-of-tests",
        "SWIFTIA_RATE_LIMIT": "1000/1s",
        "PUBLIC_URL": "https://hooks.example.org",
        "MAX_CALLBACK_BYTES": "10000",
        "LOG_LEVEL": "error",
    }


@pytest.fixture
def env(tmp_path: Path, redis_url: str) -> dict[str, str]:
    return environment(tmp_path / "data", redis_url)


@pytest.fixture
def build_services(env: dict[str, str], redis: Redis) -> Callable[..., Services]:
    """Connect the parts, with other settings where the test says so."""

    def connect(**changes: str) -> Services:
        return build(Settings.from_env({**env, **changes}), redis)

    return connect


@pytest.fixture(scope="session")
def shared_services(valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Connected once: reading the certificates for TLS takes longer than a test."""
    env = environment(tmp_path_factory.mktemp("data"), valkey_server.url)
    with contextlib.closing(Redis.from_url(valkey_server.url)) as client:
        yield build(Settings.from_env(env), client)


@pytest.fixture
def services(shared_services: Services, redis: Redis, tmp_path: Path) -> Services:
    """Give the services over an empty database and an empty store."""
    settings = shared_services.settings.model_copy(update={"data_dir": tmp_path / "data"})
    return replace(
        shared_services,
        redis=redis,
        artifacts=Artifacts.open(f"file://{tmp_path}/artifacts"),
        intake=open_intake(settings, shared_services.ledger),
    )


@pytest.fixture
def app(services: Services) -> Flask:
    return create_app(services)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Knock as anybody."""
    return app.test_client()


@pytest.fixture
def api(app: Flask) -> FlaskClient:
    """Ask as the one who holds the admin token."""
    return as_admin(app)


def as_admin(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN}"
    return client


@pytest.fixture
def admin_of() -> Callable[[Flask], FlaskClient]:
    return as_admin


@pytest.fixture
def asking(sandbox: Sandbox, build_services: Callable[..., Services]) -> Callable[..., FlaskClient]:
    """Ask an application that works with the ``sandbox`` of the test's file, with other settings where it says so."""

    def connect(**changes: str) -> FlaskClient:
        upstream = {"SWIFTIA_BASE_URL": sandbox.url, "SWIFTIA_API_KEY": sandbox.config.api_key}
        return as_admin(create_app(build_services(**{**upstream, **changes})))

    return connect


@pytest.fixture
def serve(build_services: Callable[..., Services], env: dict[str, str]) -> Iterator[Callable[..., Services]]:
    """Serve the application on a port, from a thread; ``env``, with what the test changes of it, leads there."""
    with contextlib.ExitStack() as stack:

        def start(**changes: str) -> Services:
            env.update(changes)
            services = build_services(**env)
            stack.enter_context(_served(create_app(services), env))
            return services

        yield start


@contextlib.contextmanager
def _served(app: Flask, env: dict[str, str]) -> Iterator[None]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    env.update({"PORT": str(server.port), "PUBLIC_URL": ""})
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ref() -> str:
    return "r" * 22


@pytest.fixture
def job_url(ref: str) -> str:
    """A callback URL for one job."""
    return f"/webhooks/swiftia/{token(ref, [CALLBACK_KEY])}"


@pytest.fixture
def shared_url() -> str:
    return f"/webhooks/swiftia/{shared_token([CALLBACK_KEY])}"
