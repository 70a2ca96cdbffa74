"""The web application: every route, closed over the services it uses."""

import secrets
import time
from collections.abc import Callable
from typing import Final

from flask import Blueprint, Flask, Response, request

from receiver import pages, problems, queries
from receiver.allowance import Allowance
from receiver.auth import Auth
from receiver.broadcast import BROADCAST, Broadcast
from receiver.console import site
from receiver.console.faults import Faults
from receiver.console.sessions import Sessions
from receiver.console.tries import Tries
from receiver.console.visitors import Visitors
from receiver.description import document
from receiver.door import Door
from receiver.events import Events
from receiver.files import Files
from receiver.foyer import PORTER
from receiver.health import Health
from receiver.jobs import Jobs
from receiver.metrics import Metrics
from receiver.metricsport import opened
from receiver.porter import Porter
from receiver.proxies import Proxies
from receiver.remedies import Remedies
from receiver.requestids import named
from receiver.storage import StorageGauge
from receiver.tally import Tally
from receiver.workforce import Workers
from workers.census import Census
from workers.errors import InvalidSettings
from workers.feed import Feed
from workers.services import Services

# Where the server finds what has its processes count together: ``app.extensions[TALLY]``.
TALLY: Final = "tally"


def create_app(
    services: Services, *, now: Callable[[], float] = time.time, random: Callable[[int], bytes] = secrets.token_bytes
) -> Flask:
    """``now``: Unix seconds. ``random``: gives n unguessable bytes. Raise ``Undescribed`` for a route that
    ``receiver/description`` does not tell of.
    """
    app = Flask(__name__, static_folder=None)
    # Never a redirect: senders of webhooks do not follow one.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    settings = services.settings
    proxies = Proxies(settings.trusted_proxies)
    visitors = _visitors(services, proxies, now=now, random=random)
    problems.install(app, Faults(visitors).show)
    most = settings.max_callback_bytes
    app.extensions[TALLY] = tally = Tally()
    door = Door(services.intake, services.keyring, proxies, tally=tally, max_bytes=most, now=now, random=random)
    app.register_blueprint(door.blueprint())
    app.extensions[PORTER] = Porter(door, services.intake, largest=most, clock=time.monotonic, now=now)
    app.register_blueprint(Health(services.redis, services.intake, services.artifacts, largest=most).blueprint())
    auth = Auth(visitors)
    accounts = services.upstreams.accounts.by_name
    census = Census(services.redis, archive_s=settings.archive_s, accounts=accounts)
    metrics = Metrics(services.intake, census, services.upstreams, services.artifacts, tally, auth=auth)
    app.register_blueprint(metrics.blueprint())
    feed = Feed(services.redis)
    app.extensions[BROADCAST] = broadcast = Broadcast(feed)
    app.register_blueprint(_api(services, auth, Events(services.catalog, feed, broadcast)))
    app.register_blueprint(pages.blueprint())
    tries = Tries(services.redis, now=time.monotonic)
    app.register_blueprint(site.blueprint(services, visitors, tries, census=census, random=random))
    document.check(app.url_map)
    app.wsgi_app = named(app.wsgi_app)  # type: ignore[method-assign,assignment]  # as Flask has it
    if settings.metrics_port is not None:
        app.wsgi_app = opened(app.wsgi_app, settings.metrics_port)  # type: ignore[method-assign,assignment]  # see above
    return app


def _visitors(
    services: Services, proxies: Proxies, *, now: Callable[[], float], random: Callable[[int], bytes]
) -> Visitors:
    settings = services.settings
    if settings.console_auth_header and not settings.trusted_proxies:
        raise InvalidSettings(
            ["CONSOLE_AUTH_HEADER is believed from TRUSTED_PROXIES alone; set these too, or unset it"]
        )
    sessions = Sessions(services.keyring, services.redis, now=now, random=random)
    return Visitors(sessions, proxies, header=settings.console_auth_header, public_url=settings.public_url)


def _api(services: Services, auth: Auth, events: Events) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")

    @api.before_request
    def _let_in() -> Response | None:
        refusal = auth.refusal(request)
        if refusal is None:
            queries.check(request)
        return refusal

    jobs = Jobs(
        services.catalog,
        services.submissions,
        services.links,
        services.artifacts,
        max_result_bytes=services.settings.max_result_bytes,
        dry_run=services.settings.submit_dry_run,
    )
    parts = (
        jobs,
        events,
        Files(services.catalog, services.artifacts),
        Remedies(services.ledger, services.catalog, services.erasure),
        Allowance(services.upstreams),
        Workers(services.redis),
        StorageGauge(
            services.storage, services.upstreams.accounts, warn_percent=services.settings.storage_warn_percent
        ),
    )
    for part in parts:
        part.add_to(api)
    return api
