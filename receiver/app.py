"""The web application: every route, closed over the services it uses."""

import secrets
import time
from collections.abc import Callable

from flask import Blueprint, Flask, Response, request

from receiver import frontpage, problems
from receiver.allowance import Allowance
from receiver.auth import Auth
from receiver.door import Door
from receiver.files import Files
from receiver.health import Health
from receiver.jobs import Jobs
from receiver.remedies import Remedies
from workers.wiring import Services


def create_app(
    services: Services, *, now: Callable[[], float] = time.time, random: Callable[[int], bytes] = secrets.token_bytes
) -> Flask:
    """``now``: Unix seconds. ``random``: gives n unguessable bytes."""
    app = Flask(__name__, static_folder=None)
    # Never a redirect: senders of webhooks do not follow one.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    problems.install(app)
    settings = services.settings
    most = settings.max_callback_bytes
    door = Door(services.intake, services.keyring, max_bytes=most, now=now, random=random)
    app.register_blueprint(door.blueprint())
    app.register_blueprint(Health(services.redis, services.intake, largest=most).blueprint())
    app.register_blueprint(_api(services))
    app.register_blueprint(frontpage.blueprint())
    return app


def _api(services: Services) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")
    auth = Auth(services.keyring.admin_token)

    @api.before_request
    def _let_in() -> Response | None:
        return auth.refusal(request)

    jobs = Jobs(
        services.catalog,
        services.submissions,
        services.artifacts,
        max_result_bytes=services.settings.max_result_bytes,
    )
    parts = (
        jobs,
        Files(services.catalog, services.artifacts),
        Remedies(services.ledger, services.catalog, services.artifacts),
        Allowance(services.budget),
    )
    for part in parts:
        part.add_to(api)
    return api
