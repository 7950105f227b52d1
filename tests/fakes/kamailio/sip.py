"""SIP text: messages and the URIs in them. Bytes that are not UTF-8 are kept, and fail only where they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
    "k": "supported",
    "s": "subject",
}
_NAME_ADDR = re.compile(r'^\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*<([^>]*)>(.*)$', re.DOTALL)
_URI = re.compile(r"^(sips?):(?:([^@]*)@)?(\[[^\]]+\]|[^:;?]*)(?::(\d+))?((?:;[^?]*)?)(\?.*)?$", re.DOTALL)


def canonical(name: str) -> str:
    """A header's name as it is compared: lower case, the long form."""
    low = name.strip().lower()
    return _COMPACT.get(low, low)


@dataclass(frozen=True)
class Message:
    """A request or a reply; ``headers`` in order, as name and body."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    @classmethod
    def parse(cls, raw: bytes | str) -> Message:
        """Read SIP text; folded headers are unfolded."""
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")
        head, _, body = text.partition("\r\n\r\n")
        first, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return cls(first, tuple((name.strip(), value.strip()) for name, _, value in pairs), body)

    @property
    def is_request(self) -> bool:
        return not self.first.startswith("SIP/2.0 ")

    @property
    def method(self) -> str:
        """The method; of a reply, that of its CSeq."""
        return self.first.split(" ", 1)[0] if self.is_request else self.get("CSeq").rpartition(" ")[2]

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return self.first.split(" ")[1]

    @property
    def code(self) -> int:
        """The status of a reply."""
        return int(self.first.split(" ")[1])

    @property
    def reason(self) -> str:
        """The reason phrase of a reply."""
        return self.first.split(" ", 2)[2]

    def all(self, name: str) -> list[str]:
        """The bodies of all headers of that name."""
        wanted = canonical(name)
        return [value for key, value in self.headers if canonical(key) == wanted]

    def get(self, name: str) -> str:
        """The body of the first header of that name, ``""`` when absent."""
        return next(iter(self.all(name)), "")

    def has(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def via_branch(self) -> str:
        """The branch parameter of the topmost Via."""
        return parameter(self.get("Via"), "branch")

    @property
    def to_tag(self) -> str:
        return NameAddr.parse(self.get("To")).parameter("tag")

    def encode(self) -> bytes:
        """SIP text again."""
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n" + self.body).encode("utf-8", "surrogateescape")


def parameter(text: str, name: str) -> str:
    """The value of ``;name=value`` in a header body, ``""`` when absent."""
    for item in text.split(",", maxsplit=1)[0].split(";")[1:]:
        key, _, value = item.partition("=")
        if key.strip().lower() == name:
            return value.strip()
    return ""


@dataclass(frozen=True)
class Uri:
    """A SIP URI, taken apart."""

    user: str
    host: str
    port: int
    parameters: str

    @classmethod
    def parse(cls, text: str) -> Uri | None:
        """None when it is not a SIP URI."""
        found = _URI.match(text.strip())
        if not found or not found[3]:
            return None
        return cls(found[2] or "", found[3], int(found[4] or 5060), found[5])

    def parameter(self, name: str) -> str:
        return parameter(self.parameters, name)


@dataclass(frozen=True)
class NameAddr:
    """A From, To, Contact or Route body."""

    display: str
    uri: str
    tail: str

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Read it; what has no brackets has its parameters outside the URI (RFC 3261, 20.10)."""
        found = _NAME_ADDR.match(text)
        if found:
            quoted, token, uri, tail = found.groups()
            return cls(f'"{quoted}"' if quoted is not None else token.strip(), uri, tail)
        uri, semicolon, tail = text.strip().partition(";")
        return cls("", uri, semicolon + tail)

    def parameter(self, name: str) -> str:
        return parameter(self.tail, name)


def split_list(text: str) -> list[str]:
    """The items of a comma-separated header body, commas in quotes and brackets left alone."""
    items, depth, quoted, start = [], 0, False, 0
    for position, letter in enumerate(text):
        if letter == '"' and text[position - 1 : position] != "\\":
            quoted = not quoted
        elif not quoted and letter in "<>":
            depth += 1 if letter == "<" else -1
        elif letter == "," and not quoted and depth <= 0:
            items.append(text[start:position].strip())
            start = position + 1
    return [item for item in [*items, text[start:].strip()] if item]
