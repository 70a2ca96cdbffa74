"""Jobs that the team submits itself: callback URLs for them beforehand, and taking care of them afterwards."""

from collections.abc import Callable

from redis import Redis

from workers import keys
from workers.errors import InvalidInput
from workers.identifiers import JobSubject, RefSubject, is_ref, job_id
from workers.ledger import Ledger
from workers.reader import asked
from workers.records import wishes_of
from workers.rules import rule_for
from workers.upstreams import Upstreams


class Links:
    """``webhook_url``: gives the URL of a ref, and ``shared_url`` that of an account."""

    def __init__(
        self,
        ledger: Ledger,
        upstreams: Upstreams,
        redis: Redis,
        *,
        new_ref: Callable[[], str],
        webhook_url: Callable[[str], str],
        shared_url: Callable[[str], str],
    ) -> None:
        self._ledger = ledger
        self._upstreams = upstreams
        self._redis = redis
        self._new_ref = new_ref
        self._webhook_url = webhook_url
        self._shared_url = shared_url

    def callback_url(
        self,
        *,
        metadata: object = None,
        render: object = None,
        account: str | None = None,
        delivery: str | None = None,
    ) -> tuple[str, str]:
        """Make a ref and the callback URL for a job that the team submits itself."""
        account = self._upstreams.accounts.choose(account)
        rule_for(self._upstreams.of(account).rules, None, render)
        ref = self._new_ref()
        fields = wishes_of(metadata=metadata, render=render, account=account, delivery=delivery)
        self._ledger.open_ref(ref, state="open", fields=fields, due_ms=None)
        return ref, self._webhook_url(ref)

    def shared_url(self, account: str | None = None) -> str:
        """Give the one callback URL for all jobs that the team submits itself with that account's key."""
        return self._shared_url(self._upstreams.accounts.choose(account))

    def watch(self, job: str, ref: str | None = None, account: str | None = None) -> str:
        """Take care of a job that was submitted elsewhere: ``new`` or ``known``.

        ``Conflict`` if the ref is taken, or if the job or the ref is another account's.
        """
        if ref is not None and not is_ref(ref):
            raise InvalidInput("a ref is what POST /api/callbacks answered under 'ref'")
        unnamed = self._upstreams.accounts.unnamed
        if account or (unnamed is None and not self._is_known(job_id(job), ref)):
            account = self._upstreams.accounts.choose(account)
        return self._ledger.link(
            ref or "", job_id(job), first_ms=0, by="watch", account=account or "", unnamed=unnamed or ""
        )

    def _is_known(self, job: str, ref: str | None) -> bool:
        """Tell whether the job is there already, or its ref says whose it is."""
        refs = ref and asked(self._redis.hget, keys.record(RefSubject(ref)), "account")
        return bool(refs) or self._ledger.exists(JobSubject(job))
