"""Who is rung, who is woken and which held calls a REGISTER joins. Pure decisions over what was read from shared memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from kemi.wire import LineDevice

# The entry of a held call under one device: "index:label~contact". The contact is the one already rung, empty if none.
_SEPARATOR = "\n"
_RUNG = "~"


@dataclass(frozen=True)
class Plan:
    """What to do with an INVITE: ``ring`` now, hold for ``asleep``; ``doubtful`` are rung but may sleep all the same."""

    ring: list[str] = field(default_factory=list)
    asleep: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

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


@dataclass(frozen=True)
class Entry:
    """One held call, as noted under a device: its transaction, its call reference, the contact that was rung for it."""

    transaction: str
    call: str
    rung: str = ""


def read_entries(value: str) -> list[Entry]:
    """The held calls noted under a device."""
    entries = []
    for line in value.split(_SEPARATOR):
        transaction, _, rest = line.partition(" ")
        call, _, rung = rest.partition(_RUNG)
        if transaction:
            entries.append(Entry(transaction, call, rung))
    return entries


def write_entries(entries: list[Entry]) -> str:
    """The inverse of read_entries."""
    return _SEPARATOR.join(f"{e.transaction} {e.call}{_RUNG}{e.rung}" for e in entries)


def with_entry(value: str, entry: Entry) -> str:
    """Note a held call (once)."""
    return write_entries([e for e in read_entries(value) if e.transaction != entry.transaction] + [entry])


def without_entry(value: str, transaction: str) -> str:
    """Strike a held call out."""
    return write_entries([e for e in read_entries(value) if e.transaction != transaction])


def claim(value: str, contact: str) -> tuple[list[Entry], str]:
    """The held calls this contact has still to be rung for, and the note that says it was.

    Claiming is what makes three REGISTERs after one push ring once, while a device that comes back under
    another contact (its first connection died) is rung there too.
    """
    entries = read_entries(value)
    due = [e for e in entries if e.rung != contact]
    return due, write_entries([Entry(e.transaction, e.call, contact) for e in entries])
