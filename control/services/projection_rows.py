"""One page of rows to documents: what each kind of document is made of."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from control.domain.aor import aor
from control.domain.codecs import checked_codecs
from control.domain.connection import DEFAULT_WAIT, TRUNK, WHILE_AWAKE
from control.domain.credential import ha1_md5, ha1_sha256
from control.domain.fallback import DEVICE, NUMBER, Fallback
from control.domain.targets import Located, Route, Targets
from control.domain.wakes import WaitPolicy, wait_within
from control.services import fallbacks
from control.services.tokens import WAKES
from control.store.models import Connection, Device, StoredToken, TrunkNumber, User, connection_users
from control.store.session import seal_of
from kemi.wire import ConnectionDoc, DeviceDoc, LineDevice, LineDoc, NumberDoc, mask

Resolved = Mapping[Route, Located]
_NOWHERE = Targets("")  # a PBX that registers here is wherever it registered from


@dataclass(frozen=True)
class Rows:
    """Builds documents of ``domain``; HA1s are masked by ``identity_key``. For one session, some ids at a time."""

    session: Session
    domain: str
    resolved: Resolved
    identity_key: bytes = field(repr=False)
    waits: WaitPolicy = field(default_factory=WaitPolicy)

    def devices(self, ids: Sequence[str]) -> dict[str, str]:
        """Table ``device``."""
        columns = (
            *(Device.id, Device.user_id, Device.ha1, Device.connection_id),
            *(Device.media, Device.codecs, Device.dtmf),
        )
        rows = self.session.execute(select(*columns).where(Device.id.in_(ids))).all()
        users = {row.user_id for row in rows}
        first, resting = self._first_connections(users), self._while_awake(users)
        seal = seal_of(self.session)
        return {
            row.id: DeviceDoc(
                aor=aor(row.user_id, self.domain),
                ha1=self._masked(seal.open(row.ha1).reveal(), row.id, "ha1"),
                connection=row.connection_id or first.get(row.user_id, ""),
                rung_by=resting.get(row.user_id, []),
                media=row.media,
                codecs=checked_codecs(row.codecs),
                dtmf=row.dtmf,
            ).encode()
            for row in rows
        }

    def lines(self, ids: Sequence[str]) -> dict[str, str]:
        """Table ``line``; the ids are those of the users."""
        chosen = {row.id: row for row in self.session.scalars(select(User).where(User.id.in_(ids)))}
        users = list(chosen)
        query = select(Device.user_id, Device.id, Device.wait).where(Device.user_id.in_(users))
        devices: defaultdict[str, list[Row[str, str, float | None]]] = defaultdict(list)
        for row in self.session.execute(query.order_by(Device.id)):
            devices[row.user_id].append(row)
        # The tokens themselves are not needed here, only who has any that wakes.
        tokens = (
            select(StoredToken.device_id).join(Device).where(Device.user_id.in_(users), *WAKES).distinct()
        )
        wakeable = set(self.session.scalars(tokens))
        most = self._waits(users)
        return {
            aor(user, self.domain): LineDoc(
                devices=[LineDevice(device.id, device.id in wakeable) for device in devices[user]],
                wait=min(
                    most.get(user, DEFAULT_WAIT),
                    # Of several that may come, the slowest.
                    max((wait_within(d.wait, self.waits) for d in devices[user]), default=self.waits.usual),
                ),
                messages=chosen[user].push_messages,
                voicemail=chosen[user].push_voicemail,
                **_fallback(fallbacks.of(chosen[user])),
            ).encode()
            for user in users
        }

    def connections(self, ids: Sequence[str]) -> dict[str, str]:
        """Table ``connection``; a connection that is disabled, or whose PBX is nowhere, has no document."""
        query = select(Connection).where(Connection.id.in_(ids), Connection.enabled)
        users: defaultdict[str, list[str]] = defaultdict(list)
        pairs = select(connection_users).where(connection_users.c.connection_id.in_(ids))
        for pair in self.session.execute(pairs.order_by(connection_users.c.user_id)):
            users[pair.connection_id].append(pair.user_id)
        found = {}
        for row in self.session.scalars(query):
            targets = self._targets(row)
            if targets is not None:
                found[row.id] = self._connection(row, targets, users[row.id]).encode()
        return found

    def numbers(self) -> dict[str, str]:
        """Table ``number``, whole."""
        query = (
            select(TrunkNumber.connection_id, TrunkNumber.number, TrunkNumber.user_id)
            .join(Connection)
            .where(Connection.enabled, Connection.strategy == TRUNK)
            .order_by(TrunkNumber.user_id)
        )
        found: defaultdict[str, list[str]] = defaultdict(list)
        for row in self.session.execute(query):
            found[f"{row.connection_id}/{row.number}"].append(aor(row.user_id, self.domain))
        return {key: NumberDoc(aors).encode() for key, aors in found.items()}

    def trunks(self) -> dict[str, str]:
        """Table ``trunk``, whole: which trunks may call from an address."""
        query = select(Connection).where(Connection.enabled, Connection.strategy == TRUNK)
        found: defaultdict[str, list[str]] = defaultdict(list)
        for row in self.session.scalars(query.order_by(Connection.id)):
            for source in (self._targets(row) or _NOWHERE).sources:
                found[source].append(row.id)
        return {source: " ".join(ids) for source, ids in found.items()}

    def _targets(self, row: Connection) -> Targets | None:
        if not row.host:
            return _NOWHERE
        located = self.resolved.get(Route(row.host, row.port, row.transport, row.outbound_proxy))
        return None if located is None else located.targets(row.id)

    def _connection(self, row: Connection, targets: Targets, users: Sequence[str]) -> ConnectionDoc:
        seal = seal_of(self.session)
        md5 = sha256 = ""
        if row.realm:
            password = seal.open(row.password).reveal()
            md5 = ha1_md5(row.auth_user, row.realm, password)
            sha256 = ha1_sha256(row.auth_user, row.realm, password)
        inbound = seal.open(row.inbound_ha1).reveal() if row.inbound_ha1 else ""
        revision = hashlib.sha256(f"{row.id} {row.revision} {targets.next_hop}".encode()).hexdigest()[:12]
        return ConnectionDoc(
            aors=[aor(user, self.domain) for user in users],
            domain=row.domain,
            user=row.user,
            auth_user=row.auth_user,
            next_hop=targets.next_hop,
            sources=list(targets.sources),
            realm=row.realm,
            ha1_md5=self._masked(md5, row.id, "ha1_md5"),
            ha1_sha256=self._masked(sha256, row.id, "ha1_sha256"),
            expires=row.expires,
            register=row.register and row.strategy != TRUNK,
            strategy=row.strategy,
            alternatives=list(targets.alternatives),
            ha1_inbound=self._masked(inbound, row.id, "ha1_inbound"),
            media=row.media,
            codecs=checked_codecs(row.codecs),
            dtmf=row.dtmf,
            early_ringing=row.early_ringing,
            revision=revision,
        )

    def _masked(self, ha1: str, key: str, name: str) -> str:
        return mask(ha1, self.identity_key, f"{key}/{name}") if self.identity_key else ha1

    def _first_connections(self, users: set[str]) -> dict[str, str]:
        """Which connection takes the outbound calls of a person: the oldest account, else the oldest trunk."""
        accounts = (
            select(connection_users.c.user_id, Connection.id)
            .join(Connection, Connection.id == connection_users.c.connection_id)
            .where(connection_users.c.user_id.in_(users), Connection.enabled)
        )
        trunks = (
            select(TrunkNumber.user_id, Connection.id)
            .join(Connection)
            .where(TrunkNumber.user_id.in_(users), Connection.enabled)
        )
        first: dict[str, str] = {}
        for query in (accounts, trunks):
            for user, connection in self.session.execute(
                query.order_by(Connection.created_at, Connection.id)
            ):
                first.setdefault(user, connection)
        return first

    def _while_awake(self, users: set[str]) -> dict[str, list[str]]:
        """The connections of each person that are registered only while a device is awake."""
        query = (
            select(connection_users.c.user_id, Connection.id)
            .join(Connection, Connection.id == connection_users.c.connection_id)
            .where(connection_users.c.user_id.in_(users), Connection.enabled)
            .where(Connection.strategy == WHILE_AWAKE)
            .order_by(Connection.id)
        )
        found: dict[str, list[str]] = {}
        for user, connection in self.session.execute(query):
            found.setdefault(user, []).append(connection)
        return found

    def _waits(self, users: Sequence[str]) -> dict[str, float]:
        """The most a call may be held. The most impatient PBX decides: its voicemail must win over our deadline (W8)."""
        accounts = (
            select(connection_users.c.user_id, func.min(Connection.wait))
            .join(Connection, Connection.id == connection_users.c.connection_id)
            .where(connection_users.c.user_id.in_(users), Connection.enabled)
            .group_by(connection_users.c.user_id)
        )
        trunks = (
            select(TrunkNumber.user_id, func.min(Connection.wait))
            .join(Connection)
            .where(TrunkNumber.user_id.in_(users), Connection.enabled)
            .group_by(TrunkNumber.user_id)
        )
        found: dict[str, float] = {}
        for query in (accounts, trunks):
            for user, wait in self.session.execute(query):
                found[user] = min(wait, found.get(user, wait))
        return found


def _fallback(chosen: Fallback) -> dict[str, str]:
    """The fields of a LineDoc that say where a call goes when nobody wakes."""
    if chosen.kind == DEVICE:
        return {"fallback_device": chosen.target}
    if chosen.kind == NUMBER:
        return {"fallback_number": chosen.target, "fallback_connection": chosen.connection}
    return {}
