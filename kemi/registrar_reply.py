"""A reply to a REGISTER of ours, as the registrar reads it: parsed lazily, from header bodies joined by commas. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_EXPIRES = re.compile(r';\s*expires\s*=\s*"?(\d{1,9})(?!\d)', re.IGNORECASE)
_SPLIT_CONTACTS = re.compile(r',(?=\s*(?:"|<|sips?:))')
_NAME = re.compile(r'^\s*"(?:[^"\\]|\\.)*"')
_SECONDS = re.compile(r"\s*(\d{1,9})(?!\d)")
_LONGEST_PAUSE_S = 3600.0  # a PBX that asks for more is asked again after an hour
_SEPARATOR = "\x1f"


class Reply(NamedTuple):
    """``contacts``, ``challenge`` and ``service_route`` are header bodies joined by commas; ``extra`` is Expires of a 2xx,
    Min-Expires of a 423 and Retry-After of the rest; ``at`` is when it came (UNIX seconds)."""

    code: int
    reason: str
    cseq: int
    contacts: str = ""
    challenge: str = ""
    extra: str = ""
    authentication_info: str = ""
    service_route: str = ""
    at: float = 0.0

    @property
    def retry_after(self) -> float:
        """Seconds the PBX asks us to wait, 0 when it does not; its comment is ignored (RFC 3261, 20.33)."""
        found = _SECONDS.match(self.extra)
        return min(float(found[1]), _LONGEST_PAUSE_S) if found else 0.0

    @property
    def min_expires(self) -> int:
        """Seconds that a 423 asks for at least, 0 when it does not say."""
        found = _SECONDS.match(self.extra)
        return int(found[1]) if found else 0

    def granted_to(self, connection: str, asked: int) -> int | None:
        """Seconds granted to our own contact; None when it is not in the list (RFC 3261, 10.2.4)."""
        ours = f"sip:{connection}@"
        if ours not in self.contacts:
            return None
        one = "," not in self.contacts and '"' not in self.contacts  # most lists are of one, and bare
        for item in (self.contacts,) if one else split_contacts(self.contacts):
            if ours in item:
                own = _own_expires(item)
                if own is not None:
                    return own
                return self.min_expires or asked
        return None

    def encode(self) -> str:
        """The reply as one text, for the way from a SIP worker to the registrar's process."""
        _, reason, _, contacts, challenge, extra, info, route, _ = self
        texts = (reason, contacts, challenge, extra, info, route)
        text = _SEPARATOR.join(texts)
        if text.count(_SEPARATOR) >= len(texts):
            text = _SEPARATOR.join(part.replace(_SEPARATOR, " ") for part in texts)
        return f"{self.code}{_SEPARATOR}{self.cseq}{_SEPARATOR}{round(self.at * 1e6)}{_SEPARATOR}{text}"

    @classmethod
    def decode(cls, text: str) -> Reply:
        """The inverse of encode. Raises ValueError for anything else."""
        code, cseq, at, reason, contacts, challenge, extra, info, route = text.split(_SEPARATOR)
        return cls(int(code), reason, int(cseq), contacts, challenge, extra, info, route, int(at) / 1e6)


def split_contacts(contacts: str) -> list[str]:
    """Each contact of a header body with its parameters, but without a name in quotes: there may be anything in it."""
    items = (_NAME.sub("", item, count=1) for item in _SPLIT_CONTACTS.split(contacts))
    return [item.strip() for item in items if item.strip()]


def remaining(contact: str) -> int:
    """Seconds left to a contact of the list, 0 when it does not say."""
    return _own_expires(contact) or 0


def _own_expires(contact: str) -> int | None:
    """The ``expires`` of a contact: a parameter after the bracket, or after the first semicolon when there is none."""
    found = _EXPIRES.search(contact, contact.find(">") + 1)
    return int(found[1]) if found else None


def bare(contact: str) -> str:
    """The contact without its header parameters: ``<uri>``."""
    _, bracket, rest = contact.partition("<")
    uri = rest.partition(">")[0] if bracket else contact.partition(";")[0]
    return f"<{uri.strip()}>"
