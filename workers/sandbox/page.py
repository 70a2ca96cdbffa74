"""The page at ``/``: what this is and how to play with it."""

from workers.sandbox.config import SandboxConfig
from workers.sandbox.dialects import DIALECTS
from workers.sandbox.magic import WORDS

_WELCOME = """\
This is the sandbox of swiftia-receiver: a stand-in for the Swiftia HTTP API.
Nothing here costs money, and everything is forgotten when it stops.

Make a job ({job_seconds:g} s or so), look at it, render one of its shorts:

  curl -s {url}/api/jobs -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk", "webhook": ""}}'
  curl -s {url}/api/jobs/JOB_ID -H 'Authorization: Bearer {key}'
  curl -s {url}/api/render -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{"id": "JOB_ID", "target": SHORT_ID}}'
  curl -s {url}/api/render/RENDER_ID -H 'Authorization: Bearer {key}'

The allowance is {rate} for all requests together; more is answered 429.

Without a key: GET /__books  everything seen and done
               GET /__config, POST /__config  {{"resets": 0.1, "rate_limit": "1/5s"}}
               POST /__reset  forget everything, go back to the first config

Put one of these words into youtubeVideoId to see what happens then:

{words}

A job keeps one of these dialects, taken in turn ({dialect}):

{dialects}
"""


def welcome(url: str, config: SandboxConfig) -> str:
    return _WELCOME.format(
        url=url,
        # The key of a sandbox that listens to the network is not for everybody who finds this page.
        key=config.api_key if config.api_key == SandboxConfig().api_key else "$SANDBOX_API_KEY",
        rate=config.rate_limit,
        job_seconds=config.job_seconds * config.time_scale,
        words=_table(WORDS),
        dialect=config.dialect,
        dialects=_table(DIALECTS),
    )


def _table(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows.items())
