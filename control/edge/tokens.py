"""The push tokens of all devices, in memory: the way from a held call to a push touches no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control.domain.push import VOIP, PushToken

REFRESH_S = 60.0  # a device that brings the same tokens again is written down at most this often


class TokenBook:
    """Push tokens by device id. A change made here is newer than the database until ``saved`` is told of it."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[PushToken, ...]] = {}
        self._brought: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._unsaved: dict[str, int] = {}
        self._changes = 0

    def __len__(self) -> int:
        """How many devices can be pushed to."""
        return len(self._tokens)

    def of(self, device: str) -> tuple[PushToken, ...]:
        """The tokens that wake the device for a call; empty if there are none."""
        return tuple(token for token in self._tokens.get(device, ()) if token.kind == VOIP)

    def put(self, device: str, tokens: Iterable[PushToken], at: float) -> int:
        """Replace the device's tokens by those it brought at ``at`` (UNIX seconds).

        Returns the number of this change, 0 if there is nothing to write to the database.
        """
        new = tuple(tokens)
        self._brought[device] = at
        if self._tokens.get(device, ()) == new and at - self._written.get(device, 0.0) < REFRESH_S:
            return 0
        self._tokens[device] = new
        self._written[device] = at
        return self._change(device)

    def drop(self, device: str, token: PushToken, known_at: float | None = None) -> int:
        """Forget one token. Returns the number of this change; 0: it was forgotten before.

        ``known_at`` is when the provider knew it to be dead: brought again since, it is alive, and stays (P2).
        """
        old = self._tokens.get(device, ())
        new = tuple(t for t in old if t != token)
        if new == old or (known_at is not None and self._brought.get(device, 0.0) > known_at):
            return 0
        if new:
            self._tokens[device] = new
        else:
            del self._tokens[device]
        self._written.pop(device, None)
        return self._change(device)

    def saved(self, device: str, change: int) -> None:
        """The database has the change of this number."""
        if self._unsaved.get(device) == change:
            del self._unsaved[device]

    def load(self, stored: Mapping[str, Iterable[PushToken]], *, complete: bool) -> None:
        """Take over what the database holds, except for devices whose latest change it does not have yet.

        ``complete``: a device that is not in ``stored`` has no tokens. Else only those in it are meant.
        """
        absent = self._tokens.keys() - stored.keys() if complete else ()
        for device, tokens in [*stored.items(), *((device, ()) for device in absent)]:
            if device in self._unsaved:
                continue
            new = tuple(tokens)
            if new:
                self._tokens[device] = new
                continue
            for known in (self._tokens, self._brought, self._written):
                known.pop(device, None)

    def _change(self, device: str) -> int:
        self._changes += 1
        self._unsaved[device] = self._changes
        return self._changes
