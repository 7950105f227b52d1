"""SIP text as far as a registrar reads and writes it: a request in, a reply out, contacts taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from tests.fakes.registrar.errors import MessageError

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
_BETWEEN_CONTACTS = re.compile(r',(?=\s*(?:"|<|sips?:|\*))')
_EXPIRES = re.compile(r';\s*expires\s*=\s*"?(\d+)', re.IGNORECASE)
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_REASONS = {
    100: "Trying",
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    500: "Server Internal Error",
    503: "Service Unavailable",
}


class Contact(NamedTuple):
    """One contact: its URI, and the ``expires`` parameter it carries in seconds, None without one."""

    uri: str
    expires: int | None


@dataclass(slots=True)
class Request:
    """A SIP request. ``headers`` are bodies by lower-case name, those of the same name in their order."""

    method: str
    headers: dict[str, list[str]]

    def first(self, name: str) -> str:
        """Body of the first header of that (lower-case) name, ``""`` when absent."""
        found = self.headers.get(name)
        return found[0] if found else ""

    @property
    def user(self) -> str:
        """The user of the address being registered."""
        return self.first("to").partition("sip")[2].partition(":")[2].partition("@")[0]

    @property
    def from_tag(self) -> str:
        """The tag of the From."""
        return self.first("from").rpartition(";tag=")[2].partition(";")[0]

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: what retransmissions have in common (RFC 3261, 17.2.3)."""
        return self.first("via").partition("branch=")[2].partition(";")[0].partition(",")[0]

    @property
    def cseq(self) -> int:
        """The number in CSeq. Raises MessageError."""
        try:
            return int(self.first("cseq").split()[0])
        except (IndexError, ValueError):
            raise MessageError(f"CSeq {self.first('cseq')!r} has no number") from None

    @property
    def expires(self) -> int | None:
        """Seconds in the Expires header, None when it is absent or no number."""
        text = self.first("expires").strip()
        return int(text) if text.isdigit() else None

    @property
    def contacts(self) -> list[Contact]:
        """The contacts; ``*`` is one with that URI."""
        return [_contact(item) for body in self.headers.get("contact", ()) for item in split_contacts(body)]

    def credentials(self, proxy: bool) -> dict[str, str] | None:
        """Parameters of the digest credentials by lower-case name, None when the request carries none."""
        body = self.first("proxy-authorization" if proxy else "authorization")
        return parameters(body) if body else None


def parse(data: bytes) -> Request:
    """Read a request. Raises MessageError for anything else."""
    head = data.partition(b"\r\n\r\n")[0]
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError as error:
        raise MessageError(f"not UTF-8: {error}") from None
    method, _, rest = lines[0].partition(" ")
    if not rest.endswith(" SIP/2.0"):
        raise MessageError(f"not a request: {lines[0][:80]!r}")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, _, body = line.partition(":")
        key = name.strip().lower()
        headers.setdefault(_COMPACT.get(key, key), []).append(body.strip())
    request = Request(method, headers)
    for needed in ("via", "from", "to", "call-id", "cseq"):
        if needed not in headers:
            raise MessageError(f"{method} without {needed}")
    return request


def reply(request: Request, code: int, reason: str, headers: tuple[str, ...] | list[str] = ()) -> bytes:
    """A reply to the request; ``reason`` may be empty for the usual one, ``headers`` are lines without CRLF."""
    lines = [f"SIP/2.0 {code} {reason or _REASONS.get(code, 'Because')}"]
    lines += [f"Via: {body}" for body in request.headers["via"]]
    to = request.first("to")
    lines += [
        f"From: {request.first('from')}",
        f"To: {to}" if ";tag=" in to or code == 100 else f"To: {to};tag=pbx",
        f"Call-ID: {request.first('call-id')}",
        f"CSeq: {request.first('cseq')}",
        *headers,
        "Content-Length: 0\r\n\r\n",
    ]
    return "\r\n".join(lines).encode()


def split_contacts(body: str) -> list[str]:
    """The contacts of one header body."""
    return [item.strip() for item in _BETWEEN_CONTACTS.split(body)] if "," in body else [body.strip()]


def parameters(body: str) -> dict[str, str]:
    """``name=value`` and ``name="value"`` pairs of a header body by lower-case name."""
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(body)}


def _contact(text: str) -> Contact:
    if text == "*":
        return Contact("*", None)
    if "<" in text:
        uri, _, rest = text.partition("<")[2].partition(">")
    else:
        uri, _, rest = text.partition(";")
        rest = f";{rest}"
    found = _EXPIRES.search(rest)
    return Contact(uri, int(found[1]) if found else None)
