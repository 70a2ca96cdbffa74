"""Who is using the console: somebody with a session, or whom a proxy of ours has let in."""

from dataclasses import dataclass
from typing import Final

from flask import Request, Response

from receiver.console.sessions import LONGEST_S, Role, Session, Sessions
from receiver.proxies import Proxies

_COOKIE: Final = "swiftia-console"
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Visitor:
    """``name``: as the proxy gave it, else that of the role. ``form_token``: what their forms have to carry.

    ``session``: None for somebody whom the proxy vouches for with each request.
    """

    role: Role
    name: str
    form_token: str
    session: Session | None = None

    @property
    def may_act(self) -> bool:
        return self.role is Role.ADMIN


class Visitors:
    """``header``: in which the proxies name who has signed in to them, empty for none. ``public_url``: of the service.

    A cookie is ``Secure`` if the request came over https, or if people are to come over https.
    """

    def __init__(self, sessions: Sessions, proxies: Proxies, *, header: str = "", public_url: str = "") -> None:
        self.sessions = sessions
        self.proxies = proxies
        self._header = header
        self._always_secure = public_url.startswith("https://")

    def of(self, request: Request) -> Visitor | None:
        return self._vouched_for(request) or self._with_session(request)

    def signed_in(self, request: Request, role: Role, answer: Response) -> None:
        """Give a new session to who asked."""
        self._set(request, answer, self.sessions.open(role))

    def seen(self, request: Request, visitor: Visitor, answer: Response) -> None:
        """Have the session of who asked go on, now that it was used."""
        renewed = self.sessions.renewed(visitor.session) if visitor.session else None
        if renewed is not None and "Set-Cookie" not in answer.headers:
            self._set(request, answer, renewed)

    def forget(self, request: Request, answer: Response) -> None:
        secure = self.is_secure(request)
        answer.delete_cookie(_name(secure), secure=secure, httponly=True, samesite="Lax")

    def is_secure(self, request: Request) -> bool:
        return self._always_secure or self.proxies.is_https(request)

    def _vouched_for(self, request: Request) -> Visitor | None:
        name = request.headers.get(self._header, "").strip() if self._header else ""
        if not name or not self.proxies.believes(request):
            return None
        return Visitor(Role.ADMIN, name[:_LONGEST_NAME], self.sessions.form_token(f"proxy\0{name}"))

    def _with_session(self, request: Request) -> Visitor | None:
        session = self.sessions.read(request.cookies.get(_name(self.is_secure(request)), ""))
        if session is None:
            return None
        return Visitor(session.role, session.role.value, self.sessions.form_token(session.name), session)

    def _set(self, request: Request, answer: Response, session: Session) -> None:
        secure = self.is_secure(request)
        # Lax: a link to a job in a mail has to lead to the job. No form is taken from another site either way.
        answer.set_cookie(
            _name(secure),
            self.sessions.write(session),
            max_age=LONGEST_S,
            secure=secure,
            httponly=True,
            samesite="Lax",
        )


def _name(secure: bool) -> str:  # noqa: FBT001 - one of two names
    # The prefix has browsers refuse one that another host of the domain has set, and wants ``Secure``.
    return f"__Host-{_COOKIE}" if secure else _COOKIE
