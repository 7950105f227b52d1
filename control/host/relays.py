"""The media relays of this installation: which of them get new calls, and how each is doing.

Kamailio reads state/media.db when it starts: an rtpengine that is drained there gets no new calls; those it has go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from control.host import ng, rpc, rtpengine, tables
from control.host.errors import PrepareError
from control.host.ng import NgError
from control.host.rpc import RpcError
from control.settings import RtpengineSettings, Settings


class UnknownRelayError(PrepareError):
    """There is no such rtpengine in the settings; the text has those there are."""

    id = "host-unknown-relay"


@dataclass(frozen=True)
class Relay:
    """How one rtpengine is doing: ``calls`` is None when it does not answer, ``why`` then says what happened.

    ``version`` is that of the program that ``up`` starts, empty for one that does not run here.
    """

    name: str
    weight: int
    drained: bool
    calls: int | None
    version: str = ""
    why: str = ""

    @property
    def state(self) -> str:
        """One word for people."""
        if self.calls is None:
            return "down"
        if self.drained:
            return "draining" if self.calls else "drained"
        return "ready"


def url(relay: RtpengineSettings) -> str:
    """What Kamailio calls it."""
    host = f"[{relay.control}]" if ":" in relay.control else relay.control
    return f"{'udp6' if ':' in relay.control else 'udp'}:{host}:{relay.ng_port}"


def write(settings: Settings, schema_dir: Path = tables.SCHEMA_DIR) -> None:
    """Bring state/media.db up to the settings; what is drained stays so. Raises PrepareError."""
    tables.ensure_relays(settings.media_db, schema_dir)
    known = {url(relay): relay.weight for relay in settings.rtpengine}
    with _database(settings) as database:
        for (there,) in database.execute("SELECT url FROM rtpengine").fetchall():
            if there not in known:
                database.execute("DELETE FROM rtpengine WHERE url = ?", (there,))
        database.executemany(
            "INSERT INTO rtpengine (setid, url, weight) VALUES (0, ?, ?)"
            " ON CONFLICT (setid, url) DO UPDATE SET weight = excluded.weight",
            known.items(),
        )


def overview(settings: Settings) -> list[Relay]:
    """Each of them, in the order of the settings. Raises PrepareError, ProgramMissingError."""
    with _database(settings) as database:
        drained = dict(database.execute("SELECT url, disabled FROM rtpengine").fetchall())
    return [_look(relay, bool(drained.get(url(relay)))) for relay in settings.rtpengine]


def drain(settings: Settings, name: str) -> bool:
    """Give it no new calls any more; False if Kamailio does not run, and will know when it starts.

    Raises UnknownRelayError, PrepareError.
    """
    return _set(settings, name, drained=True)


def resume(settings: Settings, name: str) -> bool:
    """Give it calls again; otherwise as ``drain``."""
    return _set(settings, name, drained=False)


def _set(settings: Settings, name: str, *, drained: bool) -> bool:
    relay = next((each for each in settings.rtpengine if each.name == name), None)
    if relay is None:
        names = ", ".join(each.name for each in settings.rtpengine)
        raise UnknownRelayError(f"there is no rtpengine {name!r} in nightbell.toml; there are: {names}")
    with _database(settings) as database:
        changed = database.execute(
            "UPDATE rtpengine SET disabled = ? WHERE url = ?", (int(drained), url(relay))
        )
        if not changed.rowcount:
            raise PrepareError(
                f"{name} is new in nightbell.toml: run `nightbell down` and `nightbell up` first"
            )
    try:
        rpc.ask(settings.rpc_socket, "rtpengine.enable", url(relay), int(not drained))
    except RpcError:
        return False
    return True


def _look(relay: RtpengineSettings, drained: bool) -> Relay:
    version = rtpengine.version(relay) if relay.here else ""
    try:
        answer = ng.ask(relay.control, relay.ng_port, "statistics", within=1.0)
        calls = int(answer["statistics"]["currentstatistics"]["sessionsown"])
    except (NgError, KeyError, TypeError, ValueError) as error:
        return Relay(relay.name, relay.weight, drained, None, version, str(error))
    return Relay(relay.name, relay.weight, drained, calls, version)


@contextmanager
def _database(settings: Settings) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(settings.media_db)) as database, database:
            yield database
    except sqlite3.Error as error:
        raise PrepareError(f"{settings.media_db} cannot be used: {error}; `nightbell up` makes it") from None
