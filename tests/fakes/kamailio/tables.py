"""Shared memory: module htable with its slot locks, and module mqueue."""

from __future__ import annotations

from collections import deque

from tests.fakes.kamailio.errors import ScriptError


class HashTables:
    """Module htable. Every table of kamailio.cfg exists; one that does not answers nothing, as in Kamailio."""

    def __init__(self, names: set[str]) -> None:
        self.tables: dict[str, dict[str, str]] = {name: {} for name in names}
        self.locked: set[tuple[str, str]] = set()
        self._walks: dict[str, tuple[list[tuple[str, str]], int]] = {}

    def sht_get(self, table: str, key: str) -> str | None:
        return self.tables.get(table, {}).get(key)

    def sht_gete(self, table: str, key: str) -> str:
        return self.sht_get(table, key) or ""

    def sht_sets(self, table: str, key: str, value: str) -> int:
        if table not in self.tables:
            raise ScriptError(f"htable {table} is not in kamailio.cfg")
        self.tables[table][key] = value
        return 1

    def sht_inc(self, table: str, key: str) -> int:
        number = int(self.tables[table].get(key, "0")) + 1
        self.sht_sets(table, key, str(number))
        return number

    def sht_rm(self, table: str, key: str) -> int:
        return 1 if self.tables.get(table, {}).pop(key, None) is not None else -1

    def sht_setxs(self, table: str, key: str, value: str, seconds: int) -> int:
        return self.sht_sets(table, key, value)

    def sht_lock(self, table: str, key: str) -> int:
        if (table, key) in self.locked:
            raise ScriptError(f"slot of {table}[{key}] is locked already: the worker would wait for itself")
        self.locked.add((table, key))
        return 1

    def sht_unlock(self, table: str, key: str) -> int:
        if (table, key) not in self.locked:
            raise ScriptError(f"slot of {table}[{key}] is not locked")
        self.locked.remove((table, key))
        return 1

    def sht_iterator_start(self, name: str, table: str) -> int:
        if name in self._walks:
            raise ScriptError(f"iterator {name} was not ended")
        if table not in self.tables:
            return -1
        self._walks[name] = (list(self.tables[table].items()), -1)
        return 1

    def sht_iterator_next(self, name: str) -> int:
        items, position = self._walks[name]
        self._walks[name] = (items, position + 1)
        return 1 if position + 1 < len(items) else -1

    def sht_iterator_end(self, name: str) -> int:
        del self._walks[name]
        return 1

    def at(self, name: str) -> tuple[str, str] | None:
        """Key and value where an iterator stands."""
        items, position = self._walks.get(name, ([], 0))
        return items[position] if 0 <= position < len(items) else None


class MessageQueues:
    """Module mqueue: bounded, the oldest is dropped silently."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._queues: dict[str, deque[tuple[str, str]]] = {n: deque(maxlen=s) for n, s in sizes.items()}
        self._fetched: dict[str, tuple[str, str]] = {}

    def mq_add(self, queue: str, key: str, value: str) -> int:
        if queue not in self._queues:
            raise ScriptError(f"mqueue {queue} is not in kamailio.cfg")
        self._queues[queue].append((key, value))
        return 1

    def mq_fetch(self, queue: str) -> int:
        if not self._queues[queue]:
            return -2
        self._fetched[queue] = self._queues[queue].popleft()
        return 1

    def mqk_get(self, queue: str) -> str | None:
        return self._fetched[queue][0] if queue in self._fetched else None

    def mqv_get(self, queue: str) -> str | None:
        return self._fetched[queue][1] if queue in self._fetched else None
