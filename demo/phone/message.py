"""SIP messages as the phone reads and writes them: sipmessage for the grammar, header values kept exactly as they came.

A route, a contact or a tag is copied, never re-serialised: a proxy that finds another spelling of what it wrote
may not know it any more.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from sipmessage import URI, Message, Request, Response
from sipmessage.message import Headers

from demo.phone.errors import UnreadableError

PHRASES = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}
_MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")
_LIST_ITEM = re.compile(r'(?:[^,"<]|"(?:[^"\\]|\\.)*"|<[^>]*>)+')
_FOLDED = re.compile(rb"\r\n[ \t]+")


@dataclass(frozen=True)
class ExactURI(URI):
    """A URI that is written the way it was read."""

    text: str = ""

    @classmethod
    def read(cls, text: str) -> ExactURI:
        """Parse ``text``; raises UnreadableError when it is no SIP URI."""
        try:
            parsed = URI.parse(text)
        except (ValueError, TypeError) as error:
            raise UnreadableError(f"{text!r} is no SIP URI: {error}") from None
        return cls(**{f.name: getattr(parsed, f.name) for f in fields(URI)}, text=text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Reply:
    """A final answer: SIP status, reason phrase, headers. Made up by the phone itself when ``headers`` are empty."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers, compare=False)

    @classmethod
    def of(cls, response: Response) -> Reply:
        """The reply that ``response`` is."""
        return cls(response.code, response.phrase, response.headers)

    def __repr__(self) -> str:
        return f"Reply({self.status} {self.reason})"


class Recorded(NamedTuple):
    """One message that was sent (``out``) or received (``in``); ``time`` is UNIX time in seconds."""

    time: float
    direction: str
    message: Request | Response

    @property
    def method(self) -> str:
        """The method of the request, or of the request that is answered."""
        return method_of(self.message)

    @property
    def status(self) -> int:
        """The status of a response; 0 for a request."""
        return self.message.code if isinstance(self.message, Response) else 0

    def __str__(self) -> str:
        arrow = "<-" if self.direction == "in" else "->"
        what = f"{self.status} ({self.method})" if self.status else self.method
        return f"{self.time:.3f} {arrow} {what} {self.message.headers.get('Call-ID', '')}"

    def __repr__(self) -> str:
        return str(self)


def new_token(octets: int = 8) -> str:
    """A fresh random token, for a tag, a Call-ID or a branch."""
    return secrets.token_hex(octets)


def parse(data: bytes) -> Request | Response:
    """Read one SIP message. Raises UnreadableError for anything else, whatever the bytes are."""
    head, gap, body = data.partition(b"\r\n\r\n")
    try:
        message = Message.parse(_FOLDED.sub(b" ", head) + gap + body)
    except (ValueError, TypeError) as error:
        raise UnreadableError(f"not a SIP message: {error}") from error
    missing = [name for name in _MANDATORY if message.headers.get(name) is None]
    if missing:
        raise UnreadableError(f"SIP message without {', '.join(missing)}")
    if not re.fullmatch(r"\d+\s+\S+", message.headers["CSeq"]):
        raise UnreadableError(f"CSeq {message.headers['CSeq']!r} is not a number and a method")
    return message


def split_list(values: Iterable[str]) -> list[str]:
    """The items of comma separated header values, in order, each exactly as written."""
    return [item.strip() for value in values for item in _LIST_ITEM.findall(value) if item.strip()]


def tag_of(address: str) -> str:
    """The tag of a From or To value; empty when it has none (RFC 3261 §19.3)."""
    found = re.search(r";\s*tag\s*=\s*([^;,\s]+)", address.rpartition(">")[2])
    return found.group(1) if found else ""


def uri_of(address: str) -> str:
    """The URI of a Contact, Route, From or To value, exactly as written."""
    inside = re.search(r"<([^>]*)>", address)
    return inside.group(1).strip() if inside else address.partition(";")[0].strip()


def top_via(message: Request | Response) -> str:
    """The first Via value."""
    return split_list(message.headers.getlist("Via"))[0]


def branch_of(message: Request | Response) -> str:
    """The branch of the first Via; empty when it has none."""
    found = re.search(r";\s*branch\s*=\s*([^;,\s]+)", top_via(message))
    return found.group(1) if found else ""


def method_of(message: Request | Response) -> str:
    """The method of a request, or of the request a response answers."""
    return message.method if isinstance(message, Request) else message.headers["CSeq"].split()[1]


def sequence_of(message: Request | Response) -> int:
    """The CSeq number."""
    return int(message.headers["CSeq"].split()[0])


def build_request(method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Request:
    """A request with these headers, in this order, and a Content-Length."""
    request = Request(method, ExactURI.read(uri), body)
    for name, value in headers:
        request.headers.add(name, value)
    request.headers.set("Content-Length", str(len(body)))
    return request


def build_response(
    request: Request,
    status: int,
    *,
    reason: str = "",
    tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The response to ``request`` (RFC 3261 §8.2.6), with ``tag`` added to a To that has none."""
    response = Response(status, reason or PHRASES.get(status, "Unknown"), body)
    response.headers.setlist("Via", list(request.headers.getlist("Via")))
    if status < 300 and request.headers.getlist("Record-Route"):
        response.headers.setlist("Record-Route", list(request.headers.getlist("Record-Route")))
    to = request.headers["To"]
    if status > 100 and tag and not tag_of(to):
        to = f"{to};tag={tag}"
    response.headers.set("From", request.headers["From"])
    response.headers.set("To", to)
    response.headers.set("Call-ID", request.headers["Call-ID"])
    response.headers.set("CSeq", request.headers["CSeq"])
    for name, value in headers:
        response.headers.add(name, value)
    response.headers.set("Content-Length", str(len(body)))
    return response
