"""The console as people meet it: signed in over HTTP, with the forms that its pages hold."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from receiver.app import create_app
from workers.services import Services

ADMIN = "an-admin-token-of-tests"
VIEWER = "a-viewer-token-of-tests"


def signed_in(app: Flask, token: str) -> FlaskClient:
    client = app.test_client()
    assert client.post("/sign-in", data={"token": token}, base_url="https://localhost").status_code == 303
    return client


def form_token(client: FlaskClient, path: str = "/") -> str:
    """The token that the forms of this session carry, as its pages show it."""
    found = re.search(
        r'name="form_token" value="([0-9a-f]{64})"', client.get(path, headers={"Accept": "text/html"}).text
    )
    assert found
    return found[1]


@pytest.fixture
def site(build_services: Callable[..., Services]) -> Callable[..., Flask]:
    """Make the application with a viewer token, and other settings where the test says so."""
    return lambda **changes: create_app(build_services(VIEWER_TOKEN=VIEWER, **changes))


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return signed_in(app, ADMIN)


@pytest.fixture
def viewer(site) -> FlaskClient:
    return signed_in(site(), VIEWER)
