"""Who is rung, who is woken and which held calls a REGISTER joins. Pure decisions over what was read from shared memory."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from kemi.wire import LineDevice

_SEPARATOR = "\n"
_NOT_RUNG = "-"
_UNHEARD = " 0"
_BY = "#"
_EARLY = " 1"  # after its transaction, all that is noted of a call that was heard of before it was noted

# A phone that is awake says at least 100 within this many seconds. One that said nothing and registers again by the same flow
# had gone to sleep behind its binding: the INVITE it slept through must be sent anew.
SILENCE = 1.0


class Plan(NamedTuple):
    """What to do with an INVITE: ``ring`` now, hold for ``asleep``; ``doubtful`` are rung but may sleep all the same."""

    ring: list[str]
    asleep: list[str]
    doubtful: list[str]

    @property
    def hold(self) -> bool:
        """Whether the call is held for somebody who may yet come."""
        return bool(self.asleep or self.doubtful)


def plan(devices: list[LineDevice], bound: set[str]) -> Plan:
    """Ring those with a binding; hold for those without, and for those whose app may have been put to sleep behind its binding."""
    return Plan(
        ring=[d.id for d in devices if d.id in bound],
        asleep=[d.id for d in devices if d.id not in bound],
        doubtful=[d.id for d in devices if d.id in bound and d.push],
    )


def flow_word(flow: str, call_id: str, cseq: str) -> str:
    """A flow, and by which REGISTER (its Call-ID and CSeq) it is known, as one word; ``""`` for no flow."""
    return f"{flow}{_BY}{zlib.crc32(call_id.encode()):08x}.{cseq}" if flow else ""


class Entry(NamedTuple):
    """One held call, as noted under a device.

    ``transaction`` and ``call`` name it; ``flow`` is where the device was rung for it, as ``flow_word`` says it (``""``: not
    yet), ``at`` when (UNIX seconds), ``heard`` whether it answered anything.
    """

    transaction: str
    call: str
    flow: str = ""
    at: float = 0.0
    heard: bool = False

    def is_due(self, flow: str, now: float) -> bool:
        """Whether a device that registers by ``flow`` has (again) to be rung for this call.

        Three REGISTERs after one push ring once, and one REGISTER sent three times does. A device that comes back by
        another flow lost the first INVITE, and a device that said nothing slept through it.
        """
        if not self.flow:
            return True
        rung_at, _, rung_by = self.flow.partition(_BY)
        at, _, by = flow.partition(_BY)
        if rung_at != at:
            return True
        if by and by == rung_by:
            return False  # the same REGISTER again: it is the network, or we, who are slow
        return not self.heard and now - self.at >= SILENCE


def read_entries(value: str) -> list[Entry]:
    """The held calls noted under a device."""
    entries = []
    for line in value.split(_SEPARATOR):
        parts = line.split(" ")
        if len(parts) == 5:
            transaction, call, flow, at, heard = parts
            entries.append(
                Entry(transaction, call, "" if flow == _NOT_RUNG else flow, float(at), heard == "1")
            )
    return entries


def write_entries(entries: list[Entry]) -> str:
    """The inverse of read_entries."""
    return _SEPARATOR.join([_line(entry) for entry in entries])


def _line(entry: Entry) -> str:
    transaction, call, flow, at, heard = entry
    return f"{transaction} {call} {flow or _NOT_RUNG} {at:.3f} {heard:d}"


def with_entry(value: str, entry: Entry) -> str:
    """Note a held call (once); heard of it has the device also if with_heard came first."""
    if value:
        if entry.transaction + _EARLY in value.split(_SEPARATOR):
            entry = entry._replace(heard=True)
        value = without_entry(value, entry.transaction)[0]
    return f"{value}{_SEPARATOR}{_line(entry)}" if value else _line(entry)


def without_entry(value: str, transaction: str) -> tuple[str, bool]:
    """Strike a held call out; also whether the device has given no sign of knowing it."""
    kept, unheard = [], False
    for line in value.split(_SEPARATOR):
        if line.startswith(transaction + " "):
            unheard = line.endswith(_UNHEARD)
        else:
            kept.append(line)
    return _SEPARATOR.join(kept), unheard


def with_heard(value: str, transaction: str) -> str:
    """Note that the device has answered something for that call.

    It may do so before the call is noted under it, which happens after the INVITE has left.
    """
    lines = value.split(_SEPARATOR) if value else []
    for index, line in enumerate(lines):
        if line.startswith(transaction + " "):
            lines[index] = line[:-1] + "1"
            break
    else:
        lines.append(transaction + _EARLY)
    return _SEPARATOR.join(lines)


def claim(value: str, flow: str, now: float) -> tuple[list[Entry], str]:
    """The held calls a device that registers by ``flow`` has still to be rung for, and the note that says it was.

    Of those with a flow of their own it was rung before, and has to be rung anew.
    """
    due, lines = [], []
    for entry in read_entries(value):
        if entry.is_due(flow, now):
            due.append(entry)
            lines.append(f"{entry.transaction} {entry.call} {flow or _NOT_RUNG} {now:.3f}{_UNHEARD}")
        else:
            lines.append(_line(entry))
    return due, _SEPARATOR.join(lines)
