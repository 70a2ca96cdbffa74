"""Where deliveries go: over HTTP, signed, to addresses that may be connected to; or to a function in this process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx2
import structlog

from workers import origin, tracing
from workers.deliveries import TAKEN, Reply, judge
from workers.errors import TargetRefused
from workers.events import Event, Later, Unwanted
from workers.signing import Secret, sign

Handler = Callable[[Event], object]
_AGENT: Final = "swiftia-receiver"
_LONGEST_WORD: Final = 200
_log = structlog.get_logger("workers.deliveries")


class Destinations:
    """``client`` decides what may be connected to. ``urls`` and ``secrets``: by account, those of no account under "".

    ``handler``: is called where no URL is set. ``now``: Unix seconds. ``clock``: that of the client's deadlines.
    """

    def __init__(
        self,
        client: httpx2.Client,
        *,
        urls: Mapping[str, str],
        secrets: Mapping[str, Sequence[Secret]],
        handler: Handler | None,
        timeout_s: float,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._urls = urls
        self._secrets = secrets
        self._handler = handler
        self._timeout_s = timeout_s
        self._now = now
        self._clock = clock

    def send(self, event: Event, *, url: str | None) -> Reply:
        """``url``: the job's own, in place of that of its account. Whatever happens is a reply."""
        account = event.account or ""
        url = url or self._urls.get(account) or self._urls.get("")
        if url:
            return self._post(event, url, self._secrets.get(account) or self._secrets.get("", ()))
        if self._handler is not None:
            return _called(self._handler, event)
        return Reply(None, "no DELIVERY_URL and no HANDLER is set any more; set one, or erase the job")

    def _post(self, event: Event, url: str, secrets: Sequence[Secret]) -> Reply:
        if not secrets:
            return Reply(None, "there is no secret to sign with; set DELIVERY_SECRET")
        with tracing.span("delivery.send", kind="client", event=event.type, event_id=event.id) as span:
            reply = self._posted(event, url, secrets)
            span.set(**{"http.response.status_code": reply.status or 0})
        said = {"status": reply.status, "reason": reply.problem or None, "event_type": event.type, "event_id": event.id}
        _log.debug("delivery.answered", **said)
        return reply

    def _posted(self, event: Event, url: str, secrets: Sequence[Secret]) -> Reply:
        body = event.as_bytes()
        headers = {"Content-Type": "application/json", "User-Agent": _AGENT, "Accept-Encoding": "identity"}
        headers |= _whence()
        headers |= sign(body, event_id=event.id, at=int(self._now()), secrets=secrets)
        deadline = {"deadline": self._clock() + self._timeout_s}
        try:
            request = self._client.build_request("POST", url, content=body, headers=headers, extensions=deadline)
            # Nobody reads what a target has to say: the status is all that counts.
            answer = self._client.send(request, stream=True, follow_redirects=False)
        except TargetRefused as error:
            return Reply(None, error.message)
        except httpx2.TimeoutException:
            return Reply(None, f"the target did not answer within {self._timeout_s:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            return Reply(None, f"the target cannot be reached: {type(error).__name__}: {error}"[:_LONGEST_WORD])
        answer.close()
        return judge(answer.status_code, answer.headers)


def _whence() -> dict[str, str]:
    """What the team's own application may go by to find this in our logs, and in the trace that it is part of."""
    found = {"X-Request-Id": origin.ids().get("request_id", ""), "traceparent": tracing.traceparent()}
    return {name: text for name, text in found.items() if text}


def _called(handler: Handler, event: Event) -> Reply:
    try:
        handler(event)
    except Later as later:
        return Reply(None, f"the handler said later: {later}"[:_LONGEST_WORD], wait_s=max(0.0, later.seconds))
    except Unwanted as unwanted:
        return Reply(None, f"the handler wants no more of this: {unwanted}"[:_LONGEST_WORD], over=True)
    except MemoryError:
        raise  # a crash, as in any step
    except Exception as error:  # noqa: BLE001 - whatever a handler raises, the event was not taken
        _log.exception("handler.failed", event_id=event.id, event_type=event.type)
        return Reply(None, f"the handler failed: {type(error).__name__}: {error}"[:_LONGEST_WORD])
    return TAKEN
