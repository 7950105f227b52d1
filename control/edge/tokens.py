"""The push tokens of all devices, in memory: the way from a held call to a push touches no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from control.domain.push import Purpose, PushToken
from control.domain.push_tokens import after_bringing, serving

REFRESH_S = 60.0  # a device that brings the same tokens again is written down at most this often


class TokenBook:
    """Push tokens by device id. A change made here is newer than the database until ``saved`` is told of it.

    Each change has a number; 0 means that there was none, and nothing to write to the database.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[PushToken, ...]] = {}
        self._owners: dict[tuple[str, str], str] = {}  # by provider and token: one token is one app install
        self._written: dict[str, float] = {}
        self._unsaved: dict[str, int] = {}
        self._touched: dict[int, tuple[str, ...]] = {}
        self._changes = 0

    def __len__(self) -> int:
        """How many devices can be pushed to."""
        return len(self._tokens)

    def of(self, device: str, purpose: Purpose) -> tuple[PushToken, ...]:
        """The device's tokens that serve a purpose; empty if there are none."""
        return serving(self._tokens.get(device, ()), purpose)

    def put(self, device: str, brought: Iterable[PushToken], at: float) -> int:
        """Remember what a device brought at ``at`` (UNIX seconds); another device that had it has it no more."""
        old = self._tokens.get(device, ())
        new = after_bringing(old, brought, at)
        losers = {owner for t in new if (owner := self._owners.get(_name(t), device)) != device}
        for loser in losers:
            taken = {_name(token) for token in new}
            self._set(loser, tuple(t for t in self._tokens[loser] if _name(t) not in taken))
        self._set(device, new)
        if old == new and not losers and at - self._written.get(device, 0.0) < REFRESH_S:
            return 0
        self._written[device] = at
        return self._change(device, *losers)

    def drop(self, device: str, token: PushToken, known_at: float | None = None) -> int:
        """Forget one token. ``known_at`` is when the provider knew it to be dead: brought again since, it is alive,
        and stays (P2).
        """
        found = self._find(device, token)
        if found is None or (known_at is not None and found.stored_at > known_at):
            return 0
        self._set(device, tuple(t for t in self._tokens[device] if t is not found))
        self._written.pop(device, None)
        return self._change(device)

    def quarantine(self, device: str, token: PushToken, at: float) -> int:
        """Keep a token that the provider knows nowhere (P2), but do not use it. ``at`` is UNIX time in seconds."""
        found = self._find(device, token)
        if found is None or found.quarantined_at is not None:
            return 0
        return self._replace(device, found, replace(found, quarantined_at=at))

    def correct_environment(self, device: str, token: PushToken, environment: str) -> int:
        """The provider has taken the token in this environment, whatever the app says (P2)."""
        found = self._find(device, token)
        if found is None or (found.environment, found.corrected) == (environment, True):
            return 0
        return self._replace(device, found, replace(found, environment=environment, corrected=True))

    def saved(self, device: str, change: int) -> None:
        """The database has the change of this number."""
        for touched in self._touched.pop(change, (device,)):
            if self._unsaved.get(touched) == change:
                del self._unsaved[touched]

    def load(self, stored: Mapping[str, Iterable[PushToken]], *, complete: bool) -> None:
        """Take over what the database holds, except for devices whose latest change it does not have yet.

        ``complete``: a device that is not in ``stored`` has no tokens. Else only those in it are meant.
        """
        absent = self._tokens.keys() - stored.keys() if complete else ()
        for device, tokens in [*stored.items(), *((device, ()) for device in absent)]:
            if device in self._unsaved:
                continue
            known = self._tokens.get(device, ())
            self._set(device, tuple(_later(token, known) for token in tokens))
            if device not in self._tokens:
                self._written.pop(device, None)

    def _find(self, device: str, token: PushToken) -> PushToken | None:
        return next((t for t in self._tokens.get(device, ()) if t.is_same(token)), None)

    def _replace(self, device: str, old: PushToken, new: PushToken) -> int:
        self._set(device, tuple(new if t is old else t for t in self._tokens[device]))
        return self._change(device)

    def _set(self, device: str, tokens: tuple[PushToken, ...]) -> None:
        for token in self._tokens.pop(device, ()):
            if self._owners.get(_name(token)) == device:
                del self._owners[_name(token)]
        if tokens:
            self._tokens[device] = tokens
            self._owners.update((_name(token), device) for token in tokens)

    def _change(self, *devices: str) -> int:
        self._changes += 1
        self._unsaved.update(dict.fromkeys(devices, self._changes))
        self._touched[self._changes] = devices
        return self._changes


def _name(token: PushToken) -> tuple[str, str]:
    return token.provider, token.token


def _later(token: PushToken, known: Iterable[PushToken]) -> PushToken:
    """A stored token; when it was brought again since, that is known here alone."""
    brought = max((t.stored_at for t in known if t.is_same(token)), default=0.0)
    return token if token.stored_at >= brought else replace(token, stored_at=brought)
