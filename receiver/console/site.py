"""Puts the console together."""

from collections.abc import Callable

from flask import Blueprint

from receiver import doctor
from receiver.console.actions import Actions
from receiver.console.assets import PATH, every_asset
from receiver.console.check import CheckPage
from receiver.console.documents import Documents
from receiver.console.gate import Gate
from receiver.console.hands import WorkersPage
from receiver.console.job import Job
from receiver.console.jobs import Jobs
from receiver.console.lookout import Lookout
from receiver.console.overview import Overview
from receiver.console.parked import ParkedPages
from receiver.console.sign_in import SignIn
from receiver.console.submit import SubmitPages
from receiver.console.tries import Tries
from receiver.console.visitors import Visitors
from workers.census import Census
from workers.parked import Parked
from workers.services import Services


def blueprint(
    services: Services, visitors: Visitors, tries: Tries, *, census: Census, random: Callable[[int], bytes]
) -> Blueprint:
    """``random``: gives n unguessable bytes."""
    console = Blueprint("console", __name__)
    console.add_url_rule(f"{PATH}/<version>/<file>", endpoint="asset", view_func=every_asset().give)
    SignIn(visitors, tries).add_to(console)
    gate = Gate(console, visitors)
    catalog, artifacts, redis = services.catalog, services.artifacts, services.redis
    dry_run = services.settings.submit_dry_run
    parts = (
        Overview(Lookout(services, census)),
        Jobs(catalog, list(services.upstreams.accounts.by_name)),
        Job(catalog),
        Documents(catalog, artifacts),
        Actions(services.ledger, catalog, services.erasure),
        ParkedPages(Parked(redis), catalog, services.ledger),
        SubmitPages(services.submissions, services.upstreams, random=random, dry_run=dry_run),
        CheckPage(redis, lambda: list(doctor.look_over(services))),
        WorkersPage(redis, census),
    )
    for part in parts:
        part.add_to(gate)
    return console
