"""The push tokens of all devices, in memory: the way from a held call to a push touches no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control.domain.push import VOIP, PushToken


class TokenBook:
    """Push tokens by device id. A change made here is newer than the database until ``saved`` is told of it."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[PushToken, ...]] = {}
        self._unsaved: dict[str, int] = {}
        self._changes = 0

    def __len__(self) -> int:
        """How many devices can be pushed to."""
        return len(self._tokens)

    def of(self, device: str) -> tuple[PushToken, ...]:
        """The tokens that wake the device for a call; empty if there are none."""
        return tuple(token for token in self._tokens.get(device, ()) if token.kind == VOIP)

    def put(self, device: str, tokens: Iterable[PushToken]) -> int:
        """Replace the device's tokens. Returns the number of this change, 0 if nothing changed."""
        new = tuple(tokens)
        if self._tokens.get(device, ()) == new:
            return 0
        self._tokens[device] = new
        return self._change(device)

    def drop(self, device: str, token: PushToken) -> int:
        """Forget one token. Returns the number of this change; 0: it was forgotten before."""
        old = self._tokens.get(device, ())
        new = tuple(t for t in old if t != token)
        if new == old:
            return 0
        if new:
            self._tokens[device] = new
        else:
            del self._tokens[device]
        return self._change(device)

    def saved(self, device: str, change: int) -> None:
        """The database has the change of this number."""
        if self._unsaved.get(device) == change:
            del self._unsaved[device]

    def load(self, stored: Mapping[str, Iterable[PushToken]]) -> None:
        """Take over what the database holds, except for devices whose latest change it does not have yet."""
        fresh = {device: tuple(tokens) for device, tokens in stored.items() if device not in self._unsaved}
        kept = {device: self._tokens[device] for device in self._unsaved if device in self._tokens}
        self._tokens = fresh | kept

    def _change(self, device: str) -> int:
        self._changes += 1
        self._unsaved[device] = self._changes
        return self._changes
