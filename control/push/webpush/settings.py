"""The table ``[push.webpush]``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

# Apple refuses a token whose contact it could not write to: localhost, <brackets>, a space after the colon.
_CONTACT = re.compile(r"mailto:[^\s<>@]+@[^\s<>@]+\.[^\s<>@.]+|https://[^\s<>/]+\.[^\s<>/]+(/[^\s<>]*)?")


@dataclass(frozen=True)
class WebPushSettings:
    """Browsers: the VAPID key, and whom a push service should write to when something is wrong with our pushes.

    ``allow_private``: networks (CIDR) that a subscription may point into though they are not public; none, unless a
    push service of one's own is there.
    """

    contact: str
    key_file: Path = Path("secrets/vapid.pem")
    allow_private: tuple[str, ...] = ()
    ca_file: Path | None = None  # None: the system's certificate authorities

    def __post_init__(self) -> None:
        if not _CONTACT.fullmatch(self.contact):
            raise ValueError(
                f"contact must be an address that a push service can write to, like mailto:you@example.org "
                f"or https://example.org/contact, not {self.contact!r}"
            )
        for network in self.allow_private:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"allow_private: {error}") from None
