"""``GET /api/storage``: how full the storage at Swiftia is, which takes no more jobs when it is full."""

from flask import Blueprint, Response, request

from receiver.answers import json_answer
from workers.accounts import Accounts
from workers.moments import moment
from workers.storage import Storage


class StorageGauge:
    """``warn_percent``: from so much on it is a warning."""

    def __init__(self, storage: Storage, accounts: Accounts, *, warn_percent: float) -> None:
        self._storage = storage
        self._accounts = accounts
        self._warn_percent = warn_percent

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/storage", view_func=self.storage)

    def storage(self) -> Response:
        """``files``: how many there are. ``age``: seconds since it was seen; null for what Swiftia did not say."""
        stock = self._storage.look(self._accounts.choose(request.args.get("account")))
        age = max(0, round(self._storage.now() - stock.at))
        answer = {
            "used_mb": stock.used_mb,
            "total_mb": stock.total_mb,
            "used_percent": stock.used_percent,
            "warning": stock.is_short(self._warn_percent),
            "files": stock.files,
            "fetched_at": moment(stock.at * 1000),
            "age": age,
        }
        return json_answer(answer, headers={"Age": str(age)})
