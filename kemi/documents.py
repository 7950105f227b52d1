"""The edge agent's documents as this process reads them: parsed once per content, not once per message."""

from __future__ import annotations

from typing import Generic, TypeVar

from kemi import ksr, wire

_D = TypeVar("_D", wire.DeviceDoc, wire.LineDoc, wire.ConnectionDoc, wire.NumberDoc)
_KEPT = 5_000
_SECRETS = {wire.DeviceDoc: ("ha1",), wire.ConnectionDoc: ("ha1_md5", "ha1_sha256", "ha1_inbound")}


def read(kind: type[_D], key: str, text: str, secret: bytes) -> _D | None:
    """Parse a document and unmask the HA1s in it; None, and a line in the log, when it cannot be read."""
    try:
        document = kind.decode(text)
        for name in _SECRETS.get(kind, ()):
            masked = getattr(document, name)
            if masked:
                plain = wire.unmask(masked, secret, f"{key}/{name}")
                # Whoever computes with it later has no way to say which document is at fault.
                bytes.fromhex(plain)
                setattr(document, name, plain)
        return document
    except ValueError as error:
        ksr.log_error(f"{kind.__name__}, key {key}: {error}")
        return None


class Table(Generic[_D]):
    """One hash table of documents, parsed. ``secret`` is what HA1s are masked with; it is set before the first look.

    The cache is keyed by the document's text, so a changed document can never be served from it.
    """

    secret = b""

    def __init__(self, name: str, kind: type[_D]) -> None:
        self._name = name
        self._kind: type[_D] = kind
        self._parsed: dict[str, _D] = {}

    def get(self, key: str) -> _D | None:
        """The document at ``key``; None when there is none or it cannot be read."""
        text = ksr.table_get(self._name, key)
        if not text:
            return None
        document = self._parsed.get(text)
        if document is None:
            document = read(self._kind, key, text, self.secret)
            if document is not None:
                if len(self._parsed) >= _KEPT:
                    self._parsed.clear()
                self._parsed[text] = document
        return document


devices: Table[wire.DeviceDoc] = Table(wire.TABLE_DEVICE, wire.DeviceDoc)
lines: Table[wire.LineDoc] = Table(wire.TABLE_LINE, wire.LineDoc)
connections: Table[wire.ConnectionDoc] = Table(wire.TABLE_CONNECTION, wire.ConnectionDoc)
numbers: Table[wire.NumberDoc] = Table(wire.TABLE_NUMBER, wire.NumberDoc)
