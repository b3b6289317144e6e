"""Reasoning items that cross accounts: an exact join.

A provider's signed or encrypted reasoning item belongs to one conversation. A second account that sends it back, in
another conversation, has it from the first: a lab that collects items and has them transcribed. Within one organisation
colleagues hand conversations on, so that counts for nothing.
"""

from collections.abc import Iterable
from typing import Any

from stream_guard.campaigns.window import Window
from stream_guard.errors import SnapshotError


class ReasoningJoin:
    """First account and conversation of each reasoning item, and the accounts that items have joined.

    Parameters
    ----------
    items_max
        Items remembered; beyond it the oldest are forgotten.
    """

    def __init__(self, items_max: int) -> None:
        self.items_max = items_max
        self._first: dict[int, tuple[int, int]] = {}
        self._joined: dict[int, int] = {}  # account -> another of its set, or itself at the root
        self.crossings: dict[int, int] = {}  # account -> items that it shared with others

    def see(self, items: Iterable[tuple[int, int, int]], window: Window) -> None:
        """Take (row of the account, hash of the item, hash of the conversation or 0) in the order they were sent."""
        for account, item, talk in items:
            first, its_talk = self._first.setdefault(item, (account, talk))
            if len(self._first) > self.items_max:
                del self._first[next(iter(self._first))]
            if first == account or (talk and its_talk == talk):
                continue
            org = int(window.facts["org"][account])
            if org and org == int(window.facts["org"][first]):
                continue
            self._joined.setdefault(first, first)
            self._joined.setdefault(account, account)
            self._joined[self._root(account)] = self._root(first)
            for who in (first, account):
                self.crossings[who] = self.crossings.get(who, 0) + 1

    def forget(self, rows: Iterable[int]) -> None:
        """Forget accounts, their items and what joined them."""
        gone = set(rows)
        self._first = {item: seen for item, seen in self._first.items() if seen[0] not in gone}
        if gone.isdisjoint(self._joined):
            return
        left = [[account for account in accounts if account not in gone] for accounts in self.sets(1)]
        self._joined = {account: accounts[0] for accounts in left for account in accounts}
        self.crossings = {account: n for account, n in self.crossings.items() if account not in gone}

    def _root(self, account: int) -> int:
        while self._joined[account] != account:
            self._joined[account] = account = self._joined[self._joined[account]]
        return account

    def sets(self, accounts_min: int) -> list[list[int]]:
        """Return the sets of joined accounts of at least this size, each in order of their rows."""
        found: dict[int, list[int]] = {}
        for account in sorted(self._joined):
            found.setdefault(self._root(account), []).append(account)
        return [accounts for accounts in found.values() if len(accounts) >= accounts_min]

    def dump(self) -> dict[str, object]:
        """Return the state as plain values for a snapshot."""
        pairs = [[key, account, talk] for key, (account, talk) in self._first.items()]
        return {"first": pairs, "joined": list(self._joined.items()), "crossings": list(self.crossings.items())}

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises SnapshotError."""
        try:
            self._first = {key: (account, talk) for key, account, talk in saved["first"]}
            self._joined = dict(saved["joined"])
            self.crossings = dict(saved["crossings"])
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the reasoning items does not fit: {error}") from error
