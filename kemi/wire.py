"""Message formats shared by Kamailio's scripts and the control plane: the only file of ``kemi`` that ``control`` imports.

Two directions, two families:

* **Events**, Kamailio to edge agent: one JSON object a datagram, at most ``MAX_DATAGRAM`` bytes.
* **Documents**, edge agent to Kamailio: the JSON values of the hash tables ``device``, ``line``,
  ``connection`` and ``upstream``.

Every object carries ``v``, the version of its format. A reader refuses a version it does not know and ignores
keys it does not know, so that either side can be upgraded first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeVar

VERSION = 1
MAX_DATAGRAM = 60_000

# Hash tables, in Kamailio's shared memory. The first three are written by the edge agent alone.
TABLE_DEVICE = "device"
TABLE_LINE = "line"
TABLE_CONNECTION = "connection"
TABLE_TRUNK = "trunk"  # source address -> ids of the trunks whose PBX calls from there, separated by spaces
TABLE_NUMBER = "number"  # "connection id/number" -> NumberDoc: who is rung by a number of a trunk
TABLE_UPSTREAM = "upstream"  # the registrar's durable state; written by Kamailio, loaded at its start
TABLE_SUMMARY = (
    "summary"  # connection -> mailbox_note() of its newest summary; written by Kamailio, loaded at its start
)
TABLE_CHANGES = (
    "changes"  # connection id -> anything: its document was changed, or a device it rings woke or slept
)
RETRY = "retry "  # before a connection id in that table: somebody wants it tried at once
TABLE_SERVICE_ROUTE = "service_route"  # connection id -> what its PBX wants as Route of calls out (RFC 3608)
TABLE_ARRIVED = "arrived"  # "address:port" a PBX has registered from, at us -> connection id
TABLE_PARKED = "parked"  # wake id -> the wake event, for as long as that call is held
TABLE_ACKED = "acked"  # wake id -> incarnation of the edge agent that has taken charge of it
TABLE_AGENT = "agent"  # "boot" -> incarnation of the edge agent that is alive now


TABLE_BYES = "byes"  # side and Call-ID -> Bye that Kamailio is to send for the edge agent
TABLE_AGREED = "agreed"  # our reference of the call -> the descriptions that hold (kemi/agreement.py)
TABLE_FALLBACK = "fallback"  # address of record -> references of its calls whose fallback is being tried

HEADER_ERRAND = "X-Nightbell-Errand"  # on an INVITE that Nightbell sends to itself: a sealed Errand


def _not_json(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


# What json.dumps makes anew for each text, at a greater cost than the text's own, and uses as dumps does here: CPython's encoder,
# with: what is seen to for circles (nothing), other types, text, indent, separators, sort_keys, skipkeys, allow_nan.
_parts: Callable[[object, int], tuple[str, ...]] = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, _not_json, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True
)


def dumps(value: object) -> str:
    """A value as JSON, in ASCII on one line without spaces."""
    return "".join(_parts(value, 0))


class WireError(ValueError):
    """A message that is not JSON, of another version, or lacks a field. Its text names the field."""


_T = TypeVar("_T", bound="_Message")


# Not frozen, as the decisions' dataclasses are: freezing costs a call a field, for each message of each call.
@dataclass
class _Message:
    def encode(self) -> str:
        """The message as one line of JSON."""
        return dumps({"v": VERSION, **self._tag(), **self.__dict__})

    def _tag(self) -> dict[str, str]:
        return {}

    @classmethod
    def from_dict(cls: type[_T], raw: dict[str, Any]) -> _T:
        """Build the message from parsed JSON; raises WireError naming what is missing or of a wrong kind."""
        if raw.get("v") != VERSION:
            raise WireError(f"{cls.__name__}: version {raw.get('v')!r} is not {VERSION}")
        kinds = _shape(cls)  # type: ignore[arg-type]
        given = {}
        for name, value in raw.items():
            kind = kinds.get(name)
            if kind is None:
                continue
            if type(value) not in kind.types or (kind.items is not None and not kind.items(value)):
                raise WireError(f"{cls.__name__}.{name}: {value!r} is not {kind.name}")
            given[name] = value
        try:
            return cls(**given)
        except TypeError as error:
            raise WireError(f"{cls.__name__}: {error}") from None

    @classmethod
    def decode(cls: type[_T], text: str | bytes) -> _T:
        """Parse one message; raises WireError."""
        return cls.from_dict(_parse(text))


def _parse(text: str | bytes) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise WireError("not a JSON object")
    return raw


class _Kind(NamedTuple):
    """What a field's value must be: exactly one of ``types``, as a bool is an int to isinstance; a list of such ``items``."""

    name: str
    types: tuple[type, ...]
    items: Callable[[list[Any]], bool] | None = None


def _are_texts(items: list[Any]) -> bool:
    return {str}.issuperset(map(type, items))


def _are_lists(items: list[Any]) -> bool:
    return {list}.issuperset(map(type, items))


def _are_lists_of_texts(items: list[Any]) -> bool:
    return _are_lists(items) and all(map(_are_texts, items))


_KINDS = {
    kind.name: kind
    for kind in (
        _Kind("str", (str,)),
        _Kind("bool", (bool,)),
        _Kind("int", (int,)),
        _Kind("float", (int, float)),
        _Kind("list[str]", (list,), _are_texts),
        _Kind("list[list[Any]]", (list,), _are_lists),
        _Kind("list[list[str]]", (list,), _are_lists_of_texts),
        _Kind("list[LineDevice]", (list,), lambda items: all(map(_is_device, items))),
    )
}


def _is_device(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("id"), str)


@cache
def _shape(cls: type[_Message]) -> dict[str, _Kind]:
    """The fields: looked at for each message, and always the same. KeyError for a type that nothing here can check."""
    return {f.name: _KINDS[str(f.type)] for f in fields(cls)}


# ------------------------------------------------------------------------------------------------ events


@dataclass
class Event(_Message):
    """What happened, and when: ``ts`` is UNIX time in seconds with microseconds."""

    type: ClassVar[str] = ""
    ts: float

    def _tag(self) -> dict[str, str]:
        return {"type": self.type}


def event_head(kind: type[Event]) -> str:
    """How the text of each event of that kind begins, up to its first field: for those that are written without being built."""
    return dumps({"v": VERSION, "type": kind.type})[:-1] + ","


@dataclass
class HelloEvent(Event):
    """Kamailio has started; its tables hold what they loaded by themselves."""

    type: ClassVar[str] = "hello"
    pid: int


class Token(NamedTuple):
    """A push token as a device brings it: ``control.domain.push.PushToken``."""

    provider: str
    app: str
    environment: str
    kind: str
    token: str


@dataclass
class RegisterEvent(Event):
    """A device's REGISTER was answered, or its binding is gone without one.

    ``action`` is ``added``, ``refreshed``, ``removed``, ``queried``, ``refused`` or ``lost``; ``reply`` the status sent, 0 for
    none, ``reason`` what is to be said of it. ``tokens`` are the push tokens of the Contact (RFC 8599), each a Token as a
    list; none: it brings none. ``calls`` are the held calls this binding was joined to. ``expires`` are the seconds asked for,
    ``granted`` those it got; ``refresh_before``: the device has said that it refreshes by itself, this many seconds before
    the end (0: it has not).
    """

    type: ClassVar[str] = "register"
    device: str
    action: str
    reply: int
    reason: str = ""
    contact: str = ""
    expires: int = 0
    source: str = ""
    user_agent: str = ""
    instance: str = ""
    tokens: list[list[str]] = field(default_factory=list, repr=False)
    calls: list[str] = field(default_factory=list)
    granted: int = 0
    refresh_before: int = 0

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RegisterEvent:
        """Build the event from parsed JSON; raises WireError, which does not show the tokens."""
        tokens = raw.get("tokens", [])
        if (
            type(tokens) is not list
            or not _are_lists_of_texts(tokens)
            or any(len(item) != len(Token._fields) for item in tokens)
        ):
            raise WireError("RegisterEvent.tokens: each is a list of five texts")
        return super().from_dict(raw)

    def each_token(self) -> list[Token]:
        """The tokens, by name."""
        return [Token(*item) for item in self.tokens]


@dataclass
class UpstreamEvent(Event):
    """The registration of a connection at its PBX changed state.

    ``state`` is one of ``registrar_state.State``; ``code`` the PBX's reply, 0 for none; ``rtt_ms`` its round trip;
    ``realm`` and ``algorithm`` what the PBX challenged with. ``durable`` is the UpstreamDoc to keep, as JSON.
    """

    type: ClassVar[str] = "upstream"
    connection: str
    state: str
    code: int = 0
    reason: str = ""
    expires: int = 0
    rtt_ms: float = 0.0
    realm: str = ""
    algorithm: str = ""
    durable: str = ""
    why: str = ""  # one of registrar_state.WHY when the state is not a good one
    due: float = 0.0  # UNIX time of the next REGISTER; 0 when none will be sent


class Refresh(NamedTuple):
    """One quiet refresh: it was registered and is, for the next while. ``nonce`` is ``""`` when it is the one known."""

    connection: str
    cseq: int
    nc: int
    due: float
    expires_at: float
    nonce: str
    rtt_ms: float


@dataclass
class RefreshEvent(Event):
    """Registrations that were refreshed and had nothing else to say, many in one datagram; each a Refresh as a list."""

    type: ClassVar[str] = "refreshed"
    refreshes: list[list[Any]]

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RefreshEvent:
        """Build the event from parsed JSON; raises WireError."""
        event = super().from_dict(raw)
        for item in event.refreshes:
            kinds = [type(value) if not isinstance(value, float) else int for value in item]
            if kinds != [str, int, int, int, int, str, int]:
                raise WireError(f"RefreshEvent.refreshes: {item!r} is not a refresh")
        return event

    def each(self) -> list[Refresh]:
        """The refreshes, by name."""
        return [Refresh(*item) for item in self.refreshes]


@dataclass
class CallEvent(Event):
    """One step of one call, for its journal.

    ``call`` is Nightbell's own opaque reference of the call. ``step`` is one of ``CALL_STEPS``.
    """

    type: ClassVar[str] = "call"
    call: str
    step: str
    device: str = ""
    connection: str = ""
    aor: str = ""
    direction: str = ""  # "in" (PBX to device) or "out"; on the first step
    caller: str = ""
    callee: str = ""
    sip_call_id: str = ""
    code: int = 0
    reason: str = ""


CALL_STEPS = (
    "invite-in",  # the INVITE arrived, from the PBX (direction in) or from a device (out)
    "invite-out",  # an INVITE left towards a device, or towards the PBX
    "challenged",  # the PBX asked for the connection's credential
    "fallback",  # nobody woke: the call goes on to where its person chose
    "ringing",  # a provisional reply other than 100
    "device-refused",  # a device declined, was busy or could not be reached; others may still ring
    "answered",  # 2xx
    "cancelled",  # the caller gave up
    "failed",  # a final reply >= 300 went to the caller
    "bye",  # the other side ended the call; or Nightbell did, and ``reason`` says why
    "device-bye",  # the device ended it
    "message-in",  # a MESSAGE arrived, from the PBX (direction in) or from a device (out)
    "message-out",  # it left towards a device, or towards the PBX
    "delivered",  # 2xx: a device, or the PBX, has it
    "request-held",  # a request within the call (``reason``: its method) waits for its device, which sleeps
    "request-out",  # the device has woken, and the request left for it
    "request-answered",  # the device's final answer to it
    "request-failed",  # the device did not wake: the request was refused
)


@dataclass
class MediaEndEvent(Event):
    """The call is over, and so is its media: the media relay keeps its figures for a moment, to be asked for.

    ``device_tag`` and ``pbx_tag`` are the SIP tags of the two sides (From and To of the BYE).
    """

    type: ClassVar[str] = "media-end"
    call: str
    sip_call_id: str
    device_tag: str
    pbx_tag: str


KEY_PRESS_HELD_MS = 1000  # how long an INFO waits for what becomes of its key press


@dataclass
class KeyPressEvent(Event):
    """A side has pressed a key, by INFO, and the other wants it as telephone-events (RFC 4733).

    The INFO is held for KEY_PRESS_HELD_MS: ``transaction`` ("index:label") names it for JSON-RPC ``tm.reply``. ``tag`` is the SIP
    tag of who pressed; ``key`` one of ``0123456789*#ABCD``, ``milliseconds`` from 100 to 5000.
    """

    type: ClassVar[str] = "key"
    call: str
    transaction: str
    sip_call_id: str
    tag: str
    key: str = field(repr=False)  # it may be one of a PIN
    milliseconds: int


@dataclass
class WakeEvent(Event):
    """A call is held for devices that sleep. Sent again until acknowledged; the same ``id`` is the same wake.

    ``transaction`` ("index:label") names the park transaction for JSON-RPC ``tm.reply``; ``asleep`` are the devices to
    push to now, ``ringing`` those that have a binding and were sent the INVITE but may in truth be asleep;
    ``deadline`` is UNIX time in seconds: after it nothing rings any more.
    """

    type: ClassVar[str] = "wake"
    id: str
    call: str
    transaction: str
    deadline: float
    connection: str
    aor: str
    asleep: list[str] = field(default_factory=list)
    ringing: list[str] = field(default_factory=list)
    caller: str = ""
    caller_name: str = ""
    early_ringing: bool = True  # ConnectionDoc.early_ringing
    purpose: str = "call"  # or "message", or "request" (one within a dialog): what the devices are woken for
    fork: str = ""  # the same for all the INVITEs by which a PBX sends one call along several ways


@dataclass
class WakeEndEvent(Event):
    """A held call is not held any more. ``outcome``: ``answered``, ``cancelled``, ``deadline`` or ``given-up``."""

    type: ClassVar[str] = "wake-end"
    id: str
    call: str
    outcome: str
    reason: str = ""


@dataclass
class VoicemailEvent(Event):
    """The PBX says something new of a connection's mailbox: ``new`` and ``old`` voice messages, whether any are ``waiting``.

    When there are more new ones than before, ``asleep`` are devices whose people want to be told.
    """

    type: ClassVar[str] = "voicemail"
    connection: str
    new: int
    asleep: list[str]
    old: int = 0
    waiting: bool = True


def mailbox_note(waiting: bool, new: int, old: int) -> str:
    """What is known of a mailbox as one short text: the value of table ``summary``."""
    return f"{'yes' if waiting else 'no'} {new}/{old}"


@dataclass
class CounterEvent(Event):
    """Something was counted at the SIP edge: ``name`` (``malformed``, ``handler-error`` …), by how much, and an example."""

    type: ClassVar[str] = "counter"
    name: str
    value: int = 1
    detail: str = ""


_EVENTS: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        HelloEvent,
        RegisterEvent,
        UpstreamEvent,
        RefreshEvent,
        CallEvent,
        MediaEndEvent,
        KeyPressEvent,
        WakeEvent,
        WakeEndEvent,
        VoicemailEvent,
        CounterEvent,
    )
}


def decode_event(datagram: bytes) -> Event:
    """Parse one datagram into its event. Raises WireError for anything else, whatever the bytes are."""
    raw = _parse(datagram)
    kind = _EVENTS.get(str(raw.get("type")))
    if kind is None:
        raise WireError(f"unknown event type {raw.get('type')!r}")
    return kind.from_dict(raw)


# --------------------------------------------------------------------------------------------- documents


class _Document(_Message):
    """What equals its default is left out: there may be 100,000 of them, and a reader assumes it."""

    def encode(self) -> str:
        """The document as one line of JSON."""
        plain = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != _default(f)}
        return dumps({"v": VERSION, **plain})


def _default(f: Field[Any]) -> object:
    return f.default if f.default_factory is MISSING else f.default_factory()


@dataclass
class DeviceDoc(_Document):
    """Table ``device``; key: the device id, which is also its digest username.

    ``ha1`` is MD5(id:realm:password) in hex; ``aor`` the person it belongs to; ``connection`` the one its outbound calls take.
    """

    aor: str
    ha1: str
    connection: str = ""
    rung_by: list[str] = field(
        default_factory=list
    )  # connections that are registered only while a device is awake
    media: str = "auto"  # what audio it takes: "auto", "plain", "sdes" or "webrtc"
    codecs: list[str] = field(default_factory=list)  # the only ones it is offered, the best first; empty: any
    dtmf: str = "auto"  # how it gets keys sent by INFO: "auto" (so) or "rfc4733" (as telephone-events)

    def __repr__(self) -> str:
        return f"DeviceDoc(aor={self.aor!r}, ha1=***, connection={self.connection!r})"


class LineDevice(NamedTuple):
    """One device of a line: its id, and whether it has a push token, so that it can be woken."""

    id: str
    push: bool


@dataclass
class LineDoc(_Message):
    """Table ``line``; key: the AoR (``sip:user@domain``). ``wait`` is how long to hold a call, in seconds.

    ``messages``: devices that sleep are woken for a MESSAGE; ``voicemail``: they are told of new voice messages.
    When nobody wakes, a call goes on to ``fallback_device`` (a device id), or to ``fallback_number`` through the connection
    ``fallback_connection``; all empty: it ends.
    """

    devices: list[LineDevice]
    wait: float = 20.0
    messages: bool = False
    voicemail: bool = False
    fallback_device: str = ""
    fallback_number: str = ""
    fallback_connection: str = ""

    def encode(self) -> str:
        """The document as one line of JSON."""
        devices = [{"id": d.id, "push": d.push} for d in self.devices]
        said = {name: value for name, value in self.__dict__.items() if value is not False and value != ""}
        return dumps({"v": VERSION, **said, "devices": devices})

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> LineDoc:
        """Build the document from parsed JSON; raises WireError."""
        line = super().from_dict(raw)
        items: list[Any] = list(line.devices)
        line.devices = [LineDevice(str(i["id"]), bool(i.get("push"))) for i in items]
        return line


@dataclass
class ConnectionDoc(_Document):
    """Table ``connection``; key: the connection id, which is also its contact user at the PBX.

    ``next_hop`` is a SIP URI whose host is an IP address (``sip:192.0.2.7:5060;transport=udp``); ``sources`` the
    addresses its calls may come from; ``ha1_md5``/``ha1_sha256`` are of ``auth_user:realm:password`` and empty until
    the realm is known. ``revision`` changes whenever the registration must be made anew.
    """

    aors: list[str]
    domain: str
    user: str
    auth_user: str
    next_hop: str
    sources: list[str]
    realm: str = ""
    ha1_md5: str = ""
    ha1_sha256: str = ""
    expires: int = 600
    register: bool = True
    strategy: str = "always"  # "always", "while-awake", "single-contact" or "trunk"
    alternatives: list[str] = field(
        default_factory=list
    )  # next hops to try when ``next_hop`` is silent, in order
    ha1_inbound: str = ""  # the PBX registers at us: MD5(connection id:our realm:password)
    media: str = "relay"  # "relay": through rtpengine; "direct": the two ends talk to each other
    codecs: list[str] = field(default_factory=list)  # the only ones it is offered, the best first; empty: any
    dtmf: str = "auto"  # how it gets keys sent by INFO: "info", "rfc4733" (as telephone-events) or "auto"
    early_ringing: bool = True  # 180 to the PBX once a provider has accepted a push
    revision: str = ""

    def __repr__(self) -> str:
        return (
            f"ConnectionDoc(user={self.user!r}, domain={self.domain!r}, next_hop={self.next_hop!r}, ha1=***)"
        )


@dataclass
class NumberDoc(_Document):
    """Table ``number``: the AoRs that a number of a trunk rings."""

    aors: list[str]


MASKED = "~"  # what a masked HA1 begins with


def mask(ha1: str, key: bytes, label: str) -> str:
    """An HA1 as it stands in tables and files: unreadable without the installation's identity key.

    ``label`` is the key of the document and the name of the field, so that equal HA1s look different. Not encryption against
    somebody who has the key, but nothing that a dump of a table or a backup of a file gives away.
    """
    if not ha1:
        return ""
    plain = bytes.fromhex(ha1)
    pad = hashlib.blake2b(label.encode(), key=key, digest_size=len(plain), person=b"nightbell-ha1").digest()
    return MASKED + bytes(a ^ b for a, b in zip(plain, pad, strict=True)).hex()


def unmask(value: str, key: bytes, label: str) -> str:
    """The inverse of mask; what is not masked is returned as it is."""
    if not value.startswith(MASKED):
        return value
    return mask(value[1:], key, label)[1:]


@dataclass
class UpstreamDoc(_Document):
    """Table ``upstream``; key: the connection id. What a registration needs to go on after a restart as if nothing had been.

    ``due`` (next REGISTER) and ``expires_at`` are UNIX times in seconds; ``cseq`` the last one used; ``nc`` the uses of ``nonce``.
    """

    state: str
    revision: str
    cseq: int
    due: float
    expires_at: float
    expires: int
    realm: str = ""
    algorithm: str = ""
    nonce: str = ""
    opaque: str = ""
    qop: bool = False
    nc: int = 0
    failures: int = 0
    why: str = ""
    service_route: str = ""


# ---------------------------------------------------------------------------------------------- errands


@dataclass
class Errand(_Message):
    """A call that Nightbell places itself: to one device (``device``), or to a number through a connection.

    ``reason`` is what its journal says of it; ``expires`` is UNIX time in seconds. It travels sealed with the identity key,
    for one Call-ID: nobody else can place such a call, or place one again. ``relayed``: its media goes through rtpengine, and
    ``codecs`` are the only ones its caller is offered, and ``dtmf`` is how he gets keys sent by INFO.
    """

    expires: float
    reason: str
    device: str = ""
    number: str = ""
    connection: str = ""
    relayed: bool = False
    codecs: list[str] = field(default_factory=list)
    dtmf: str = "auto"

    def seal(self, sip_call_id: str, key: bytes) -> str:
        """The body of the header HEADER_ERRAND."""
        text = base64.urlsafe_b64encode(self.encode().encode()).decode()
        return f"{text}.{_errand_mac(text, sip_call_id, key)}"

    @classmethod
    def unseal(cls, body: str, sip_call_id: str, key: bytes, now: float) -> Errand | None:
        """The errand in such a body; None when we did not seal it for this Call-ID, or its time is over."""
        text, _, mac = body.strip().partition(".")
        if not hmac.compare_digest(mac.encode(), _errand_mac(text, sip_call_id, key).encode()):
            return None
        try:
            errand = cls.decode(base64.urlsafe_b64decode(text))
        except (binascii.Error, WireError):
            return None
        return errand if errand.expires > now else None


@dataclass
class Bye(_Message):
    """A BYE that ends a call from outside: Request-URI, next hop, socket and headers, each of these with CRLF."""

    ruri: str
    next_hop: str
    socket: str
    headers: str


def _errand_mac(text: str, sip_call_id: str, key: bytes) -> str:
    plain = f"{text} {sip_call_id}".encode(errors="replace")
    return hashlib.blake2b(plain, key=key, digest_size=16, person=b"nightbell-errand"[:16]).hexdigest()
