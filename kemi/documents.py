"""The edge agent's documents as this process reads them: parsed once per content, not once per message."""

from __future__ import annotations

from typing import Generic, TypeVar

from kemi import ksr, wire

_D = TypeVar("_D", wire.DeviceDoc, wire.LineDoc, wire.ConnectionDoc)
_KEPT = 20_000


class Table(Generic[_D]):
    """One hash table of documents, parsed.

    The cache is keyed by the document's text, so a changed document can never be served from it.
    """

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
            try:
                document = self._kind.decode(text)
            except wire.WireError as error:
                ksr.log_error(f"table {self._name}, key {key}: {error}")
                return None
            if len(self._parsed) >= _KEPT:
                self._parsed.clear()
            self._parsed[text] = document
        return document


devices: Table[wire.DeviceDoc] = Table(wire.TABLE_DEVICE, wire.DeviceDoc)
lines: Table[wire.LineDoc] = Table(wire.TABLE_LINE, wire.LineDoc)
connections: Table[wire.ConnectionDoc] = Table(wire.TABLE_CONNECTION, wire.ConnectionDoc)
