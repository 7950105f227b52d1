"""A call from a device out through its PBX: in the connection's name, with the connection's credential."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from kemi import auth, call_mark, cancelled, contact, ksr, media, nat, stray, trickle, trust, wake, wire
from kemi.call_mark import Mark
from kemi.documents import connections
from kemi.media_profile import Leg, Terms
from kemi.node import Node

_CALL = "$avp(nb_call)"
_CONNECTION = "$avp(nb_connection)"
_NUMBER = re.compile(r"[0-9A-Za-z*#+._~-]{1,64}")


def invite(node: Node) -> int:
    """Take an INVITE of a device."""
    device, document = auth.device(node)
    if document is None:
        return 1
    return _place(node, _Out(document.connection, called(), document.aor, device, document=document))


def to_number(node: Node, errand: wire.Errand) -> int:
    """Take an INVITE that Nightbell itself sends to a number."""
    return _place(node, _Out(errand.connection, errand.number, reason=errand.reason, errand=errand))


@dataclass(frozen=True)
class _Out:
    """A call out: through which connection, whom it calls, and for whom."""

    connection: str
    number: str
    aor: str = ""
    device: str = ""
    reason: str = ""
    document: wire.DeviceDoc | None = None
    errand: wire.Errand | None = None

    def terms(self, connection: wire.ConnectionDoc) -> Terms | None:
        """On what terms its media is relayed; None when it is not."""
        if self.errand is not None:
            terms = Terms.of_pbx(connection).with_device(Leg.PLAIN, self.errand)
            return terms if self.errand.relayed else None
        if self.document is None or connection.media != "relay":
            return None
        leg = media.leg_of_sender(self.document.media)
        return Terms.of_pbx(connection).with_device(leg, self.document)


def _place(node: Node, out: _Out) -> int:
    call = call_mark.new_reference()
    node.events.call(
        call,
        "invite-in",
        device=out.device,
        connection=out.connection,
        aor=out.aor,
        direction="out",
        callee=out.number,
        sip_call_id=ksr.call_id(),
        reason=out.reason,
    )
    going = way(node, out.connection, out.number)
    if isinstance(going, NoWay):
        return _refuse(node, call, going.code, going.reason)

    terms = out.terms(going.connection) if node.settings.media else None
    unusable = media.refusal(terms, False, node.settings.webrtc) if terms is not None else ""
    if unusable:
        return _refuse(node, call, 488, unusable)
    node.stay_in_dialog(Mark(call, terms, outbound=True, caller=call_mark.short_tag(ksr.pv("$ft"))))
    ksr.track_dialog()
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_CONNECTION, out.connection)
    if terms is not None:
        media.relay_this_call(call, terms, errand=out.errand is not None)
        trickle.conceal(terms)
    leave_by(node, going)
    ksr.tm_on_branch("ksr_branch_pbx")
    ksr.tm_on_reply("ksr_reply_pbx")
    ksr.tm_on_failure("ksr_failure_pbx")
    if not ksr.tm_relay():
        ksr.reply_error()
        node.events.call(call, "failed", code=500, reason="the PBX could not be reached")
    return 1


@dataclass(frozen=True)
class Way:
    """How a device's request gets out: over ``connection``, whose id is ``id``, to ``number``, by ``next_hop``."""

    id: str
    connection: wire.ConnectionDoc
    number: str
    next_hop: str


@dataclass(frozen=True)
class NoWay:
    """Why it does not: the answer to the device."""

    code: int
    reason: str


def called() -> str:
    """The number in the Request-URI."""
    return unquote(ksr.pv("$rU"))


def way(node: Node, name: str, number: str) -> Way | NoWay:
    """The way out to a number through the PBX of connection ``name``."""
    connection = connections.get(name)
    if connection is None or not (connection.next_hop or connection.ha1_inbound):
        return NoWay(404, "This device has no connection for calls out")
    # A PBX that registers at us is where it came from.
    next_hop = connection.next_hop or ksr.binding_flow(node.device_uri(name))
    if not next_hop:
        return NoWay(480, "The PBX of this connection is not registered here")
    if not _NUMBER.fullmatch(number):
        return NoWay(484, "The number has characters that no PBX understands")
    return Way(name, connection, number, next_hop)


def leave_by(node: Node, going: Way) -> None:
    """Make the request one of the connection's, on its way to the PBX."""
    trust.remove_claims()
    trust.remove_credentials()
    # The way to the PBX is ours to say, and the PBX must not be sent round by others.
    ksr.remove_header("Route")
    nat.public_contact()
    connection = going.connection
    ksr.replace_from("", f"sip:{connection.user}@{connection.domain}")
    target = f"sip:{quote(going.number, safe='*+._~-')}@{connection.domain}"
    ksr.replace_to(target)
    ksr.set_ruri(target)
    ksr.set_next_hop(going.next_hop)
    if contact.transport_of(going.next_hop) == "udp":
        # Else what came by TCP leaves by whatever UDP socket Kamailio likes best, which may be the park socket.
        ksr.send_from(f"udp:{node.settings.address}:{node.settings.sip_port}")
    route = ksr.table_get(wire.TABLE_SERVICE_ROUTE, going.id)
    if route:
        ksr.append_header(f"Route: {route}")


def branch(node: Node) -> int:
    """Branch route: the INVITE leaves for the PBX (twice, when the PBX challenges)."""
    terms = media.terms_of_call()
    if terms is not None:
        media.offer_on_branch(0, terms, to_device=False)
    node.events.call(ksr.pv(_CALL), "invite-out", connection=ksr.pv(_CONNECTION))
    return 1


def reply(node: Node) -> int:
    """Reply route: the PBX has answered."""
    code = ksr.status()
    cancelled.heard(ksr.tm_branch(), code)
    if code <= 100 or wake.is_from_park(node):
        return 1
    media.answer_on_branch(0, to_device=True)
    if code < 300:
        trickle.welcome(media.terms_of_call())
    if code < 300:
        node.events.call(ksr.pv(_CALL), "answered" if code >= 200 else "ringing", code=code)
    return 1


def failure(node: Node) -> int:
    """Failure route: answer the PBX's challenge once; everything else goes to the device as it is."""
    call = ksr.pv(_CALL)
    if ksr.tm_cancelled():
        media.end_if_relayed()
        stray.given_up()
        node.events.call(call, "cancelled", code=487)
        ksr.tm_reply(487, "Request Terminated")
        return 1
    code = ksr.tm_reply_code()
    if code in (401, 407) and answer_challenge(node, call, ksr.pv(_CONNECTION), code):
        # The reply routes were consumed by the first round.
        ksr.tm_on_branch("ksr_branch_pbx")
        ksr.tm_on_reply("ksr_reply_pbx")
        ksr.tm_on_failure("ksr_failure_pbx")
        if ksr.tm_relay():
            return 1
    media.end_if_relayed()
    if code in (401, 407):
        code = refused_by_pbx()
    node.events.call(call, "failed", code=code)
    return 1


def refused_by_pbx() -> int:
    """In a failure route: the PBX's challenge is not for the device, which would answer with its own password, for ever."""
    ksr.append_header_to_reply(
        'Reason: SIP;cause=403;text="The PBX refused the credential of the connection"'
    )
    ksr.tm_reply(403, "Connection Refused By PBX")
    return 403


def answer_challenge(node: Node, call: str, name: str, code: int) -> bool:
    """In a failure route: put the credential of connection ``name`` into the request, to be sent again.

    False when there is none for that realm, or it was refused already.
    """
    if ksr.pv("$avp(auser)"):
        return False
    connection = connections.get(name)
    if connection is None or not connection.ha1_md5:
        return False
    ksr.pv_set("$avp(auser)", connection.auth_user)
    ksr.pv_set("$avp(arealm)", connection.realm)
    ksr.pv_set("$avp(apass)", connection.ha1_md5)
    if not ksr.digest_answer():
        return False
    node.events.call(call, "challenged", connection=name, code=code)
    return True


def _refuse(node: Node, call: str, code: int, reason: str) -> int:
    if code == 488:
        ksr.append_header_to_reply(f'Reason: SIP;cause=488;text="{reason}"')
    ksr.reply(code, "Not Acceptable Here" if code == 488 else reason)
    node.events.call(call, "failed", code=code, reason=reason)
    return 1
