"""The tables. Times are UNIX seconds as floats; names are keys, as they are everywhere else."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """All tables; constraints have names, so that a migration can change them on either database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {float: Double(), str: Text()}  # noqa: RUF012  declared so by SQLAlchemy


connection_users = Table(
    "connection_users",
    Base.metadata,
    Column("connection_id", ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class User(Base):
    """A person; the AoR is ``sip:<id>@<domain>``. The three of the fallback: ``control.domain.fallback.Fallback``."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float]
    push_messages: Mapped[bool] = mapped_column(default=False, server_default=false())
    push_voicemail: Mapped[bool] = mapped_column(default=False, server_default=false())
    fallback_kind: Mapped[str] = mapped_column(String(8), default="")
    fallback_target: Mapped[str] = mapped_column(String(80), default="")
    fallback_connection: Mapped[str] = mapped_column(String(32), default="")

    devices: Mapped[list[Device]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True, order_by="Device.id"
    )
    connections: Mapped[list[Connection]] = relationship(
        secondary=connection_users, back_populates="users", order_by="Connection.created_at"
    )


class Device(Base):
    """An app install. ``id`` is its digest username; ``ha1`` the sealed MD5(id:realm:password).

    ``wait`` is how long to hold a call for it, in seconds, as its wakes have taught; None: not enough of them yet.
    """

    __tablename__ = "devices"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    ha1: Mapped[str]
    connection_id: Mapped[str | None] = mapped_column(
        ForeignKey("connections.id", ondelete="SET NULL"), index=True
    )
    created_at: Mapped[float]
    wait: Mapped[float | None]
    media: Mapped[str] = mapped_column(String(8), default="auto")
    codecs: Mapped[str] = mapped_column(default="")
    dtmf: Mapped[str] = mapped_column(String(8), default="auto")

    user: Mapped[User] = relationship(back_populates="devices")
    connection: Mapped[Connection | None] = relationship()
    tokens: Mapped[list[StoredToken]] = relationship(
        back_populates="device", cascade="all, delete-orphan", passive_deletes=True
    )

    def __repr__(self) -> str:
        return f"Device(id={self.id!r}, ha1=***)"


class StoredToken(Base):
    """A ``control.domain.push.PushToken`` of a device; an alive device brings it again and again."""

    __tablename__ = "push_tokens"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    app: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(String(16))
    token: Mapped[str]
    digest: Mapped[str] = mapped_column(String(64), index=True)
    stored_at: Mapped[float] = mapped_column(index=True)
    quarantined_at: Mapped[float | None]
    corrected: Mapped[bool] = mapped_column(default=False)

    device: Mapped[Device] = relationship(back_populates="tokens")

    def __repr__(self) -> str:
        return f"StoredToken(device={self.device_id!r}, provider={self.provider!r}, token=***)"


class PhoneLink(Base):
    """A one-time link for a device; ``digest`` is the SHA-256 of its code, which is kept nowhere."""

    __tablename__ = "phone_links"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]


class BindingReminder(Base):
    """The next reminder of a device's binding: ``control.domain.reminder.Reminder``."""

    __tablename__ = "binding_reminders"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    due: Mapped[float]
    ends: Mapped[float]


class WantedWake(Base):
    """A test call to a device: when it was asked for, taken in hand by the edge agent, and over; 0.0 for "not yet"."""

    __tablename__ = "wanted_wakes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    wanted_at: Mapped[float] = mapped_column(index=True)
    taken_at: Mapped[float]
    ended_at: Mapped[float]


class Connection(Base):
    """An account at a PBX. ``id`` is the contact user there; ``password`` is sealed.

    ``port`` 0 means that DNS says it. ``realm`` is what the PBX challenged with, unless ``realm_fixed``: then a
    person has set it. ``inbound_ha1`` is the sealed MD5(id:our realm:password) by which the PBX registers here, empty if
    it may not. ``revision`` grows with each change after which the PBX must be registered at anew.
    """

    __tablename__ = "connections"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    host: Mapped[str]
    port: Mapped[int]
    transport: Mapped[str] = mapped_column(String(8))
    domain: Mapped[str]
    user: Mapped[str]
    auth_user: Mapped[str]
    password: Mapped[str]
    realm: Mapped[str]
    realm_fixed: Mapped[bool]
    expires: Mapped[int]
    register: Mapped[bool]
    media: Mapped[str] = mapped_column(String(8))
    early_ringing: Mapped[bool]
    wait: Mapped[float]
    strategy: Mapped[str] = mapped_column(String(16), default="always")
    outbound_proxy: Mapped[str] = mapped_column(default="")
    inbound_ha1: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    codecs: Mapped[str] = mapped_column(default="")
    dtmf: Mapped[str] = mapped_column(String(8), default="auto")
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[float]

    users: Mapped[list[User]] = relationship(
        secondary=connection_users, back_populates="connections", order_by="User.id"
    )
    numbers: Mapped[list[TrunkNumber]] = relationship(
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by=lambda: (TrunkNumber.number, TrunkNumber.user_id),
    )

    def __repr__(self) -> str:
        return f"Connection(id={self.id!r}, name={self.name!r}, password=***)"


class TrunkNumber(Base):
    """A number of a trunk rings this person; several rows: several people."""

    __tablename__ = "trunk_numbers"

    connection_id: Mapped[str] = mapped_column(
        ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class UpstreamState(Base):
    """How a connection stands at its PBX; ``durable`` is the ``kemi.wire.UpstreamDoc``, as JSON.

    ``since`` is when this state began, ``changed_at`` when it was last heard of, ``due`` when the next REGISTER goes out (0:
    none will).
    """

    __tablename__ = "upstream_states"

    connection_id: Mapped[str] = mapped_column(
        ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True
    )
    state: Mapped[str]
    code: Mapped[int]
    reason: Mapped[str]
    expires: Mapped[int]
    rtt_ms: Mapped[float]
    durable: Mapped[str]
    why: Mapped[str] = mapped_column(String(32), default="")
    due: Mapped[float] = mapped_column(default=0.0)
    since: Mapped[float] = mapped_column(default=0.0)
    changed_at: Mapped[float]


class Registration(Base):
    """A run of equal answers to REGISTER, of one device here or of one connection at its PBX: the register log."""

    __tablename__ = "register_log"
    __table_args__ = (Index("ix_register_log_subject", "side", "subject", "id"),)

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    side: Mapped[str] = mapped_column(String(8))
    subject: Mapped[str]
    first_at: Mapped[float]
    last_at: Mapped[float] = mapped_column(index=True)
    count: Mapped[int]
    state: Mapped[str] = mapped_column(String(32))
    code: Mapped[int]
    reason: Mapped[str]
    why: Mapped[str] = mapped_column(String(32))
    contact: Mapped[str]
    source: Mapped[str]
    user_agent: Mapped[str]
    instance: Mapped[str]
    expires: Mapped[int]
    rtt_min: Mapped[float]
    rtt_sum: Mapped[float]
    rtt_max: Mapped[float]


class MailboxState(Base):
    """What the PBX last said of the mailbox of a connection, at ``at`` (UNIX seconds)."""

    __tablename__ = "mailboxes"

    connection_id: Mapped[str] = mapped_column(
        ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[float]
    waiting: Mapped[bool]
    new: Mapped[int]
    old: Mapped[int]


class Alarm(Base):
    """Something that a person must see to; ``cleared_at`` is None while it still stands."""

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    at: Mapped[float]
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str]
    text: Mapped[str]
    cleared_at: Mapped[float | None] = mapped_column(index=True)


class Call(Base):
    """The head of a call's journal: ``control.domain.journal.CallHead``. Outlives the devices it names."""

    __tablename__ = "calls"

    call: Mapped[str] = mapped_column(String(64), primary_key=True)
    started_at: Mapped[float] = mapped_column(index=True)
    direction: Mapped[str] = mapped_column(String(4))
    connection: Mapped[str]
    aor: Mapped[str]
    caller: Mapped[str]
    callee: Mapped[str]
    sip_call_id: Mapped[str] = mapped_column(index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    code: Mapped[int]
    reason: Mapped[str]
    answered_at: Mapped[float]
    ended_at: Mapped[float]
    kind: Mapped[str] = mapped_column(String(8), default="", server_default="")


class CallStep(Base):
    """One step of a call. Its key is what makes it the same step when it is told twice."""

    __tablename__ = "call_steps"
    __table_args__ = (Index("ix_call_steps_device", "device", "call"), {"sqlite_with_rowid": False})

    call: Mapped[str] = mapped_column(ForeignKey("calls.call", ondelete="CASCADE"), primary_key=True)
    at: Mapped[float] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(String(32), primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(String(16), primary_key=True)
    code: Mapped[int]
    reason: Mapped[str]


class CallAudio(Base):
    """The audio of a call on one side: ``control.domain.quality.Leg``. ``heard`` is what that side reported, as JSON, or empty."""

    __tablename__ = "call_audio"

    call: Mapped[str] = mapped_column(ForeignKey("calls.call", ondelete="CASCADE"), primary_key=True)
    side: Mapped[str] = mapped_column(String(8), primary_key=True)
    packets: Mapped[int] = mapped_column(BigInteger)
    codec: Mapped[str] = mapped_column(String(64))
    quiet: Mapped[float]
    sends: Mapped[bool]
    heard: Mapped[str]
    obstacle: Mapped[str] = mapped_column(String(8))


class Wake(Base):
    """``control.domain.wakes.DeviceWake``: one wake of one device. Outlives the device."""

    __tablename__ = "wakes"
    __table_args__ = (Index("ix_wakes_device_pushed_at", "device", "pushed_at"),)

    wake: Mapped[str] = mapped_column(String(80), primary_key=True)
    device: Mapped[str] = mapped_column(String(80), primary_key=True)
    call: Mapped[str] = mapped_column(String(64), index=True)
    pushed_at: Mapped[float] = mapped_column(index=True)
    deadline: Mapped[float] = mapped_column(index=True)
    provider: Mapped[str] = mapped_column(String(16))
    accepted_at: Mapped[float]
    registered_at: Mapped[float]
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    purpose: Mapped[str] = mapped_column(String(16), default="call", server_default="call")


class Outbox(Base):
    """What was changed, in the order of the commits. The edge agents read on from the last ``id`` seen."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_at", "at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str]
    at: Mapped[float]


class Heartbeat(Base):
    """When a process last said that it is alive, and what it said of itself (JSON)."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[float]
    detail: Mapped[str]
