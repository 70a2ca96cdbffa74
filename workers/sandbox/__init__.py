"""A stand-in for the Swiftia HTTP API, as strict as the published pages allow, for playing and for tests.

It shares no reading or writing code with the service, so that a mistake cannot cancel itself out.

    server       put together, start, stop; ``serve`` runs until a signal
    config       SandboxConfig: everything that can be chosen; ``fields`` reads and checks one choice
    magic        words in a video id that make a job misbehave
    listener     the socket; ``connection``: one client; ``heads``, ``requests``, ``replies``: what goes over it
    front        routing, and what goes wrong on the wire (``faults``)
    api          key, allowance (``limiter``), the documented routes and their ``answers``
    controls     the sandbox's own routes; ``page``: the one that explains it
    bodies       strict reading of JSON; ``submissions``, ``render_orders``: the two documented bodies
    organization the jobs and renders there are; ``drafts`` makes them, ``chance`` rolls the dice
    jobs         a job; ``job_documents``: what is said about it; ``dialects``: in which of the documented forms
    renders      a render; ``render_documents``: what is said about it
    films        the files; ``media`` serves them (whole, ranges), ``storage`` finds and lists them
    messenger    sends callbacks; ``calls``: when; ``callback_bodies``: what
    books        what happened; ``accounts``: the part about jobs and renders

The books, as ``Sandbox.books()`` and GET /__books give them:

    requests          {"POST /api/jobs": {"201": 3, "429": 1, "reset": 1, "cut": 1, "gone": 1}, ...}
    rate_limited, unauthorized, unknown_targets     counts
    unknown_fields    {field that no page knows: how often it was sent to POST /api/jobs or /api/render}
    jobs              {job id: {video, title, dialect, words, webhook, body_form, phase, created_at, ends_at or null,
                      shorts: [ids], polls, answered}}
    renders           {render id: {job, short, phase, created_at, ends_at, url, size (announced), file_bytes, sha256,
                      polls, answered}}
    renders_per_short {job id: {short id as text: how many renders were started}}
    callbacks         [{job, at, attempt, form, content_type, bytes, sha256, status or null, error or null}]
    faults            [{at, route, fault: 5xx|html|reset|cut, effect, subject: id of what was made, or of the film}]
    files             {render id or crops/...: {requests, whole, bytes (offered)}}
    crashes           tracebacks of the sandbox's own; always empty, or the sandbox has a bug

``answered`` is false where something was made although a fault, or a client that left, swallowed the answer saying so.
"""

from workers.sandbox.config import SandboxConfig
from workers.sandbox.films import Film
from workers.sandbox.magic import WORDS
from workers.sandbox.server import Sandbox, serve

__all__ = ["WORDS", "Film", "Sandbox", "SandboxConfig", "serve"]
