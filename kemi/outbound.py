"""A call from a device out through its PBX: in the connection's name, with the connection's credential."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from kemi import auth, call_mark, contact, ksr, media, nat, trust, wire
from kemi.call_mark import Mark
from kemi.documents import connections
from kemi.node import Node

_CALL = "$avp(nb_call)"
_CONNECTION = "$avp(nb_connection)"
_NUMBER = re.compile(r"[0-9A-Za-z*#+._~-]{1,64}")


def invite(node: Node) -> int:
    """Take an INVITE of a device."""
    device, document = auth.device(node)
    if document is None:
        return 1
    call, number = call_mark.new_reference(), unquote(ksr.pv("$rU"))
    connection = connections.get(document.connection)
    node.events.call(
        call,
        "invite-in",
        device=device,
        connection=document.connection,
        aor=document.aor,
        direction="out",
        callee=number,
        sip_call_id=ksr.pv("$ci"),
    )
    if connection is None or not (connection.next_hop or connection.ha1_inbound):
        return _refuse(node, call, 404, "This device has no connection for calls out")
    # A PBX that registers at us is where it came from.
    next_hop = connection.next_hop or ksr.binding_flow(node.device_uri(document.connection))
    if not next_hop:
        return _refuse(node, call, 480, "The PBX of this connection is not registered here")
    if not _NUMBER.fullmatch(number):
        return _refuse(node, call, 484, "The number has characters that no PBX understands")

    relayed = connection.media == "relay" and node.settings.media
    trust.remove_claims()
    trust.remove_credentials()
    # The way to the PBX is ours to say, and the PBX must not be sent round by others.
    ksr.remove_header("Route")
    nat.public_contact()
    node.stay_in_dialog(Mark(call, relayed, outbound=True, caller=call_mark.short_tag(ksr.pv("$ft"))))
    ksr.track_dialog()
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_CONNECTION, document.connection)
    if relayed:
        media.relay_this_call()
    _in_the_name_of(connection, number, next_hop)
    if contact.transport_of(next_hop) == "udp":
        # Else a call that came by TCP leaves by whatever UDP socket Kamailio likes best, which may be the park socket.
        ksr.send_from(f"udp:{node.settings.address}:{node.settings.sip_port}")
    route = ksr.table_get(wire.TABLE_SERVICE_ROUTE, document.connection)
    if route:
        ksr.append_header(f"Route: {route}")
    ksr.tm_routes("ksr_branch_pbx", "ksr_reply_pbx", "ksr_failure_pbx")
    if not ksr.tm_relay():
        ksr.reply_error()
        node.events.call(call, "failed", code=500, reason="the PBX could not be reached")
    return 1


def _in_the_name_of(connection: wire.ConnectionDoc, number: str, next_hop: str) -> None:
    ksr.replace_from("", f"sip:{connection.user}@{connection.domain}")
    called = f"sip:{quote(number, safe='*+._~-')}@{connection.domain}"
    ksr.replace_to(called)
    ksr.set_ruri(called)
    ksr.set_next_hop(next_hop)


def branch(node: Node) -> int:
    """Branch route: the INVITE leaves for the PBX (twice, when the PBX challenges)."""
    media.offer_on_branch(0)
    node.events.call(ksr.pv(_CALL), "invite-out", connection=ksr.pv(_CONNECTION))
    return 1


def reply(node: Node) -> int:
    """Reply route: the PBX has answered."""
    code = ksr.pv_int("$rs")
    if code <= 100:
        return 1
    media.answer_on_branch(0)
    if code < 300:
        node.events.call(ksr.pv(_CALL), "answered" if code >= 200 else "ringing", code=code)
    return 1


def failure(node: Node) -> int:
    """Failure route: answer the PBX's challenge once; everything else goes to the device as it is."""
    call = ksr.pv(_CALL)
    if ksr.tm_cancelled():
        media.end_if_relayed()
        node.events.call(call, "cancelled", code=487)
        return 1
    code = ksr.tm_reply_code()
    if code in (401, 407) and _authenticate(node, call, code):
        return 1
    media.end_if_relayed()
    if code in (401, 407):
        # The PBX's challenge is not for the device: it would answer with its own password, for ever.
        ksr.append_header_to_reply(
            'Reason: SIP;cause=403;text="The PBX refused the credential of the connection"'
        )
        ksr.tm_reply(403, "Connection Refused By PBX")
        code = 403
    node.events.call(call, "failed", code=code)
    return 1


def _authenticate(node: Node, call: str, code: int) -> bool:
    """Send the INVITE again with the credential; False when there is none for that realm, or it was refused already."""
    if ksr.pv("$avp(auser)"):
        return False
    connection = connections.get(ksr.pv(_CONNECTION))
    if connection is None or not connection.ha1_md5:
        return False
    ksr.pv_set("$avp(auser)", connection.auth_user)
    ksr.pv_set("$avp(arealm)", connection.realm)
    ksr.pv_set("$avp(apass)", connection.ha1_md5)
    if not ksr.digest_answer():
        return False
    node.events.call(call, "challenged", connection=ksr.pv(_CONNECTION), code=code)
    # The reply routes were consumed by the first round.
    ksr.tm_routes("ksr_branch_pbx", "ksr_reply_pbx", "ksr_failure_pbx")
    return ksr.tm_relay()


def _refuse(node: Node, call: str, code: int, reason: str) -> int:
    ksr.reply(code, reason)
    node.events.call(call, "failed", code=code, reason=reason)
    return 1
