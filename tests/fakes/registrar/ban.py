"""What a firewall daemon in front of many a PBX does: after some failures, an address is not heard any more."""

from __future__ import annotations

from collections import defaultdict, deque


class Ban:
    """``after`` failures within ``within`` seconds ban an address for ``lasting`` seconds; 0 failures: never."""

    def __init__(self, after: int = 0, within: float = 600.0, lasting: float = 600.0) -> None:
        self.after, self.within, self.lasting = after, within, lasting
        self._failures: defaultdict[str, deque[float]] = defaultdict(deque)
        self._until: dict[str, float] = {}

    def failed(self, address: str, now: float) -> None:
        """A request from there was refused: wrong password, unknown account, forbidden."""
        if not self.after:
            return
        failures = self._failures[address]
        failures.append(now)
        while failures[0] < now - self.within:
            failures.popleft()
        if len(failures) >= self.after:
            self._until[address] = now + self.lasting
            failures.clear()

    def holds(self, address: str, now: float) -> bool:
        """Whether nothing from there is heard now."""
        return bool(self._until) and self._until.get(address, 0.0) > now

    def lift(self) -> None:
        """Forget all failures and bans."""
        self._failures.clear()
        self._until.clear()
