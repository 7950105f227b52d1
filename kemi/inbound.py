"""A call from the PBX to a person: ring the devices that are awake, hold the call for those that sleep."""

from __future__ import annotations

import time
from typing import NamedTuple

from kemi import (
    call_mark,
    cancelled,
    fallback,
    ksr,
    media,
    media_profile,
    nat,
    stray,
    trickle,
    trust,
    wake,
    wake_rules,
    wire,
)
from kemi.auth import Origin
from kemi.call_mark import Mark
from kemi.documents import devices as device_documents
from kemi.documents import lines
from kemi.media_profile import Terms
from kemi.node import Node
from kemi.wake_rules import Entry, Plan
from kemi.wire import LineDevice

# AVPs, alive as long as the transaction.
_CALL = "$avp(nb_call)"
_AOR = "$avp(nb_aor)"
_DEVICES = "$avp(nb_devices)"
_WAKING = "$avp(nb_waking)"

_LONGEST = 128  # characters of a caller's number or name that go on: an event must fit a datagram

# The devices of the branches that this process is adding right now, in the order of the branches: the branch
# route runs inside t_relay and ts_append, in the same process, and cannot be told in another way.
_adding: list[str] = []


class _Ring(NamedTuple):
    """A call that is to ring somebody. ``fallback`` is the sealed errand for when nobody wakes, ``wait`` is in seconds."""

    call: str
    connection: str
    aor: str
    media: Terms | None
    early_ringing: bool
    devices: list[LineDevice]
    wait: float
    fallback: str = ""
    reason: str = ""
    is_errand: bool = False


def invite(node: Node, origin: Origin) -> int:
    """Take an INVITE of a PBX; its source has been checked."""
    document = origin.document
    ksr.remove_headers_like("X-Nightbell[^:]*")
    documents = [d for d in (lines.get(a) for a in origin.aors) if d is not None]
    wait = max((d.wait for d in documents), default=0.0)
    call = call_mark.new_reference()
    relayed = document.media == "relay" and node.settings.media
    return _ring(
        node,
        _Ring(
            call=call,
            connection=origin.connection,
            aor=origin.aors[0] if origin.aors else "",
            media=Terms.of_pbx(document) if relayed else None,
            early_ringing=document.early_ringing,
            devices=list({device.id: device for d in documents for device in d.devices}.values()),
            wait=wait,
            fallback=fallback.sealed(node, call, origin, documents, wait, relayed),
        ),
    )


def to_device(node: Node, errand: wire.Errand, aor: str, device: LineDevice, wait: float) -> int:
    """Take an INVITE that Nightbell itself sends to one device."""
    return _ring(
        node,
        _Ring(
            call=call_mark.new_reference(),
            connection=errand.connection,
            aor=aor,
            media=Terms.of_pbx(errand) if errand.relayed else None,
            early_ringing=False,
            devices=[device],
            wait=wait,
            reason=errand.reason,
            is_errand=True,
        ),
    )


def _ring(node: Node, ring: _Ring) -> int:
    now = time.time()
    call = ring.call
    caller, name = ksr.pv("$fU")[:_LONGEST], ksr.pv("$fn").strip('"')[:_LONGEST]
    if not ksr.tm_new():
        return 1  # another worker has this INVITE: a retransmission that came while the first was being looked at
    node.events.call(
        call,
        "invite-in",
        connection=ring.connection,
        aor=ring.aor,
        direction="in",
        caller=caller,
        sip_call_id=ksr.call_id(),
        reason=ring.reason,
    )
    unusable = media.refusal(Terms(), to_device=False) if ring.media is not None else ""
    if unusable:
        return _refuse(node, call, 488, unusable)
    devices = [device.id for device in ring.devices]
    if not devices and not ring.fallback:
        return _refuse(node, call, 480, "Nobody has a device on this connection")
    # Read before relaying: a device that registers by another flow meanwhile has to be found different afterwards.
    flows = {d: flow for d in devices if (flow := bound_by(node.device_uri(d)))}
    plan = wake_rules.plan(ring.devices, set(flows))

    transaction = ksr.tm_id()
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_AOR, ring.aor)
    ksr.pv_set(_DEVICES, " ".join(devices))
    if ring.fallback:
        ksr.pv_set(fallback.ERRAND, ring.fallback)
    if ring.media is not None:
        if not ring.is_errand:
            ksr.track_dialog()  # so that the edge agent can end it when nobody is heard
        media.relay_this_call(call, ring.media, ring.is_errand)
    ksr.tm_on_branch("ksr_branch_device")
    ksr.tm_on_failure("ksr_failure_device")
    if plan.hold:
        ksr.pv_set(_WAKING, wire.dumps(_wake_order(ring, plan, now + ring.wait, caller, name)))
    if not _fork(node, plan):
        nobody = "No device could be reached" if devices else "Nobody has a device on this connection"
        return 1 if _fall_back(node, call, nobody) else _refuse(node, call, 480, nobody)
    _look_again(node, call, transaction, devices, flows)
    return 1


def _wake_order(ring: _Ring, plan: Plan, deadline: float, caller: str, name: str) -> dict[str, object]:
    return {
        "call": ring.call,
        "connection": ring.connection,
        "aor": ring.aor,
        "asleep": plan.asleep,
        "ringing": plan.doubtful,
        "deadline": deadline,
        "caller": caller,
        "caller_name": name,
        "early_ringing": ring.early_ringing,
        "fork": call_mark.short_tag(f"{ksr.call_id()} {ksr.pv('$ft')}"),
    }


def _fork(node: Node, plan: Plan) -> bool:
    """Send the INVITE to the awake devices and, when somebody sleeps, to the park socket, which is branch 0."""
    ring = list(plan.ring)
    _adding.clear()
    if plan.hold:
        _adding.append("")
        ksr.set_ruri(f"sip:park@{node.settings.park}")
        ksr.reset_next_hop()
    else:
        while ring and not ksr.ruri_to(node.device_uri(ring[0])):
            ring.pop(0)
        if not ring:
            return False
        _adding.extend([ring.pop(0)] * (1 + ksr.branches()))
    for device in ring:
        before = ksr.branches()
        ksr.branch_to(node.device_uri(device))
        _adding.extend(
            [device] * (ksr.branches() - before)
        )  # one, unless it registered several contacts at once
    return ksr.tm_relay()


def _look_again(node: Node, call: str, transaction: str, devices: list[str], flows: dict[str, str]) -> None:
    """Publish the held call under its devices, then ring whoever registered between the look and the publishing.

    The order matters: publishing before relaying lets a REGISTER add branches to a transaction that is being
    relayed (Kamailio crashes); relaying without the second look loses calls.
    """
    rung = set(_adding)
    for device in devices:
        uri = node.device_uri(device)
        flow = flows.get(device, "") if device in rung else ""
        with wake.HeldCalls(device) as held:
            held.value = wake_rules.with_entry(held.value, Entry(transaction, call, flow, time.time()))
        now_bound_by = bound_by(uri)
        if now_bound_by != flow and now_bound_by:
            ring_held_calls(device, uri, claim_held_calls(device, now_bound_by))


def bound_by(uri: str) -> str:
    """The flow of the binding of ``uri`` and its REGISTER, as one word, ``""`` when there is none."""
    return wake_rules.flow_word(*ksr.binding(uri))


def claim_held_calls(device: str, flow: str) -> list[Entry]:
    """The calls held for a device that its binding by ``flow`` has now to be joined to; whoever claims them does it."""
    with wake.HeldCalls(device) as held:
        due, held.value = wake_rules.claim(held.value, flow, time.time())
    return due


def ring_held_calls(device: str, uri: str, due: list[Entry]) -> list[str]:
    """Join the binding of ``uri`` to these calls; returns the references of those that ring it now."""
    joined = []
    for entry in due:
        _adding[:] = [device]
        if ksr.append_to_transaction(entry.transaction, uri) > 0:
            joined.append(entry.call)
    return joined


def branch(node: Node) -> int:
    """Branch route: the last look at an INVITE before it leaves for a device, or for the park socket."""
    if ksr.pv("$ru").endswith(node.settings.park):
        ksr.append_header(f"{wake.HEADER}: {ksr.pv(_WAKING)}")
        ksr.tm_on_reply("")  # the one reply that says something is taken by router.reply
        return 1
    ksr.tm_on_reply("ksr_reply_device")
    if ksr.tm_reply_code() >= 200:
        ksr.drop()  # answered or ended meanwhile: a branch that left now would be a ghost call
        return 1
    index = ksr.tm_branch()
    device = _adding[index] if index < len(_adding) else _adding[-1]
    ksr.pv_set(f"$avp(nb_device{index})", device)
    call = ksr.pv(_CALL)
    if device == fallback.BRANCH:
        _stay_in_dialog(node, call, None)  # the errand's own dialog has the media
        ksr.append_header(f"{wire.HEADER_ERRAND}: {ksr.pv(fallback.ERRAND)}")
        return 1
    terms = _terms(device)
    if terms is not None:
        refusal = media.offer_on_branch(index, terms, to_device=True, webrtc=node.settings.webrtc)
        if refusal:
            ksr.drop()
            node.events.call(call, "device-refused", device=device, code=488, reason=refusal)
            return 1
        trickle.welcome(terms)
    _stay_in_dialog(node, call, terms)
    node.events.call(call, "invite-out", device=device)
    return 1


def _terms(device: str) -> Terms | None:
    """On what terms this device is offered the call's media, None when that is not relayed."""
    terms = media.terms_of_call()
    document = device_documents.get(device) if terms is not None else None
    if terms is None or document is None:
        return terms
    leg = media_profile.leg_of_device(document.media, media.next_hops_transport())
    return terms.with_device(leg, document)


def _stay_in_dialog(node: Node, call: str, terms: Terms | None) -> None:
    node.stay_in_dialog(Mark(call, terms, caller=call_mark.short_tag(ksr.pv("$ft"))))


def reply(node: Node) -> int:
    """Reply route of a device's branch of the forked INVITE, and of its fallback's."""
    code = ksr.status()
    index = ksr.tm_branch()
    device = ksr.pv(f"$avp(nb_device{index})")
    if code == 599 and wake.is_from_park(node):
        # Our own answer for a phone that rang and is gone: it learns what became of the call when it is back.
        cancelled.heard(index, code)
        ksr.table_set(wake.TABLE_ENDED, device, f"{ksr.pv(_CALL)};state=cancelled")
        return 1
    has_media = device != fallback.BRANCH  # that of the errand is its own
    if has_media:
        _heard(device, index, code)
    else:
        device = ""
    if code <= 100:
        return 1
    nat.public_contact()
    trust.remove_claims()
    call = ksr.pv(_CALL)
    if has_media and media.is_relayed() and not stray.is_late(index):
        media.answer_on_branch(index, to_device=False)
        trickle.conceal(media.terms_of_branch(index))
    if code < 200:
        node.events.call(call, "ringing", device=device, code=code)
    elif code < 300:
        stray.has_answered(index)
        fallback.over(ksr.pv(_AOR), call)
        _forget(call, "answered")
        node.events.call(call, "answered", device=device, code=code)
    elif device:
        node.events.call(call, "device-refused", device=device, code=code, reason=ksr.pv("$rr"))
    return 1


def _heard(device: str, branch_index: int, code: int) -> None:
    """Note, at its first sign of life, that the device is awake: it will not be rung a second time."""
    noted = f"$avp(nb_heard{branch_index})"
    is_news = not ksr.pv(noted)
    if is_news or code >= 300:
        cancelled.heard(branch_index, code)
    if is_news:
        ksr.pv_set(noted, "1")
        with wake.HeldCalls(device) as held:
            held.value = wake_rules.with_heard(held.value, ksr.tm_id())


def failure(node: Node) -> int:
    """Failure route: no branch is left."""
    call = ksr.pv(_CALL)
    if ksr.tm_cancelled():
        _over(call, "cancelled")
        stray.given_up()
        node.events.call(call, "cancelled", code=487)
        ksr.tm_reply(487, "Request Terminated")
        return 1
    code = ksr.tm_reply_code()
    nobody = code == 599 or (code == 408 and ksr.tm_timed_out())
    reason = ""
    if nobody:
        reason = wake.why_nobody_came(
            "No device woke up in time" if ksr.pv(_WAKING) else "No device answered"
        )
        if _fall_back(node, call, reason):
            return 1
    _over(call, "deadline" if nobody else "ended")
    if nobody:
        code = 480
        ksr.append_header_to_reply(f'Reason: SIP;cause=480;text="{reason}"')
        ksr.tm_reply(480, "Temporarily Unavailable")
    node.events.call(call, "failed", code=code, reason=reason)
    return 1


def _fall_back(node: Node, call: str, why: str) -> bool:
    """Let the call go on to its fallback, once; False when there is none. Devices that come yet still join it."""
    words = fallback.begin(node, ksr.pv(_AOR), call)
    if not words:
        return False
    node.events.call(call, "fallback", reason=f"{why}; {words}")
    _adding[:] = [fallback.BRANCH]
    ksr.set_ruri(f"sip:errand@{node.settings.address}:{node.settings.sip_port}")
    ksr.reset_next_hop()
    # Those of the first round are used up.
    ksr.tm_on_branch("ksr_branch_device")
    ksr.tm_on_failure("ksr_failure_device")
    return ksr.tm_relay()


def _over(call: str, state: str) -> None:
    media.end_if_relayed()
    fallback.over(ksr.pv(_AOR), call)
    _forget(call, state)


def _forget(call: str, state: str) -> None:
    """Strike the call out; the devices that never heard of it, and may have been pushed to, learn it when they register."""
    transaction = ksr.tm_id()
    for device in ksr.pv(_DEVICES).split():
        with wake.HeldCalls(device) as held:
            held.value, unheard = wake_rules.without_entry(held.value, transaction)
        if unheard:
            ksr.table_set(wake.TABLE_ENDED, device, f"{call};state={state}")


def _refuse(node: Node, call: str, code: int, reason: str) -> int:
    ksr.append_header_to_reply(f'Reason: SIP;cause={code};text="{reason}"')
    ksr.reply(code, "Not Acceptable Here" if code == 488 else "Temporarily Unavailable")
    node.events.call(call, "failed", code=code, reason=reason)
    return 1
