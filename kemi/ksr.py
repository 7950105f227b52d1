"""The one door to Kamailio: nothing else in this package imports ``KSR``.

Kamailio answers with 1, -1, other negative numbers or None; here a question gets ``bool`` and a value gets ``str | None``,
and those numbers stay behind this door (-1 is truthy in Python, which is how scripts written without a door go wrong).
Names follow the modules: ``tm_relay`` is ``t_relay`` of module tm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import KSR

LOCATION = "location"

DIGEST_OK = 0
DIGEST_WRONG = 1  # the password (or the user) is wrong
DIGEST_STALE = 2  # no credentials for this realm, or an old nonce: ask again

# ------------------------------------------------------------------------------------------ message parts


def pv(name: str) -> str:
    """Value of a pseudo-variable as text, ``""`` for null. Raises UnicodeDecodeError on bytes that are not UTF-8."""
    value = KSR.pv.get(name)
    return "" if value is None else str(value)


def pv_int(name: str) -> int:
    """Value of a numeric pseudo-variable, 0 for null or text."""
    value = KSR.pv.get(name)
    return value if isinstance(value, int) else 0


def pv_set(name: str, value: str) -> None:
    """Set a pseudo-variable (an AVP, mostly) to a text."""
    KSR.pv.sets(name, value)


# What nearly every message is asked for, by functions that need not look a name up: half the time of ``pv``, or less.


def method() -> str:
    """The method of a request, or of the request that a reply answers."""
    value: str | None = KSR.kx.get_method()
    return value or ""


def status() -> int:
    """The status of a reply; negative for a request."""
    return int(KSR.kx.get_status())


def call_id() -> str:
    """The Call-ID."""
    value: str | None = KSR.kx.get_callid()
    return value or ""


def source_address() -> str:
    """The IP address the message came from."""
    return str(KSR.kx.get_srcip())


def source_port() -> int:
    """The port it came from."""
    return int(KSR.kx.get_srcport())


def local_port() -> int:
    """The port of ours that it came to."""
    return int(KSR.kx.get_rcvport())


def protocol() -> str:
    """What it came by, in lower case: ``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``."""
    return str(KSR.kx.get_proto())


def user_name() -> str:
    """The user name of its digest credentials, ``""`` when it has none."""
    value: str | None = KSR.kx.get_au()
    return value or ""


def to_user() -> str:
    """The user of the URI in To."""
    value: str | None = KSR.kx.get_tuser()
    return value or ""


def user_agent() -> str:
    """The body of User-Agent."""
    value: str | None = KSR.kx.get_ua()
    return value or ""


def header(name: str) -> str:
    """Body of the first header of that name, ``""`` when absent."""
    return pv(f"$hdr({name})")


def headers(name: str) -> str:
    """Bodies of all headers of that name, joined by commas."""
    return pv(f"$(hdr({name})[*])")


def has_header(name: str) -> bool:
    """Whether there is such a header: cheaper than its body."""
    return int(KSR.hdr.is_present(name)) > 0


def via_branch() -> str:
    """The branch parameter of the topmost Via: the id of the transaction this message belongs to."""
    return pv("$(hdr(Via)[0])").partition("branch=")[2].partition(";")[0].partition(",")[0].strip()


def via_branches() -> list[str]:
    """The branches of all Vias, the topmost first: of a reply, our own request's and then that of the request we had it from."""
    vias = headers("Via").split(",")
    return [via.partition("branch=")[2].partition(";")[0].strip() for via in vias]


def has_to_tag() -> bool:
    """Whether the request belongs to a dialog."""
    return int(KSR.siputils.has_totag()) > 0


def has_sdp() -> bool:
    """Whether the body is a session description."""
    return int(KSR.textops.has_body_type("application/sdp")) > 0


def body() -> str:
    """The body; what of it is not UTF-8 is replaced, for a session's name may be in any encoding."""
    try:
        return pv("$rb")
    except UnicodeDecodeError:
        return bytes.fromhex(pv("$(rb{s.encode.hexa})")).decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------------ headers


def append_header(line: str) -> None:
    """Add a header to the message on its way out; ``line`` without CRLF."""
    KSR.hdr.append(line + "\r\n")


def append_header_to_reply(line: str) -> None:
    """Add a header to the reply this request will get; ``line`` without CRLF."""
    KSR.hdr.append_to_reply(line + "\r\n")


def remove_header(name: str) -> None:
    """Remove all headers of that name."""
    KSR.hdr.remove(name)


def remove_headers_like(names: str) -> None:
    """Remove all headers whose whole name matches the expression (POSIX and Python alike), in any case."""
    # Kamailio compiles the expression at each call, which costs more than all else here; mostly there is nothing to remove.
    try:
        if not _header_named(names).search("\n" + pv("$msg(hdrs)")):
            return
    except UnicodeDecodeError:
        pass
    KSR.textops.remove_hf_re(f"^({names})$")


@cache
def _header_named(names: str) -> re.Pattern[str]:
    # The line break, and a look at the first letter, save trying each name at each place: a tenth of the time.
    letters = "".join(sorted({name[0] for name in names.split("|")}))
    return re.compile(rf"\n(?=[{letters}])(?:{names})[ \t]*:", re.IGNORECASE)


def replace_header(name: str, body: str) -> None:
    """Have one header of that name, with that body, in the message as everything later reads it."""
    KSR.hdr.remove(name)
    KSR.hdr.append(f"{name}: {body}\r\n")
    KSR.textopsx.msg_apply_changes()


# ---------------------------------------------------------------------------------------------- addresses


def is_myself(uri: str) -> bool:
    """Whether a URI names one of our listeners."""
    return bool(KSR.is_myself(uri))


def from_ourselves() -> bool:
    """Whether the message was sent by one of our listeners: a call that Nightbell itself has placed."""
    return bool(KSR.is_myself(f"sip:{source_address()}:{source_port()}"))


def set_ruri(uri: str) -> None:
    """Replace the Request-URI."""
    KSR.seturi(uri)


def set_next_hop(uri: str) -> None:
    """Send the request there, whatever its Request-URI says."""
    KSR.setdsturi(uri)


def reset_next_hop() -> None:
    """Forget a next hop set before."""
    KSR.resetdsturi()


def send_from(socket: str) -> None:
    """Send the request from this listener (``protocol:address:port``), whichever one it came in by."""
    KSR.corex.set_send_socket(socket)


def has_next_hop() -> bool:
    """Whether a next hop is set."""
    return bool(KSR.isdsturiset())


def force_rport() -> None:
    """Answer to the port the request came from (RFC 3581)."""
    KSR.force_rport()


def drop() -> None:
    """In a branch route: do not send this branch. In the route of all replies: do not pass this one on."""
    KSR.set_drop()


# ----------------------------------------------------------------------------------------- sanity, replies


def hops_left() -> bool:
    """Decrement Max-Forwards; False when it has run out."""
    return int(KSR.maxfwd.process_maxfwd(10)) > 0


def sane() -> bool:
    """Syntax checks of module sanity; when False, the reply has been sent."""
    return int(KSR.sanity.sanity_check(17895, 7)) > 0


def reply(code: int, reason: str) -> None:
    """Answer without a transaction, or within the one that exists."""
    KSR.sl.send_reply(code, reason)


def reply_stateless(code: int, reason: str) -> None:
    """Answer without a transaction."""
    KSR.sl.sl_send_reply(code, reason)


def reply_error() -> None:
    """Answer with the status that fits Kamailio's last internal error."""
    KSR.sl.sl_reply_error()


# --------------------------------------------------------------------------------------------- transactions


def tm_new() -> bool:
    """Create the transaction of this request."""
    return int(KSR.tm.t_newtran()) > 0


def tm_id() -> str:
    """``index:label`` of the current transaction."""
    return f"{KSR.pv.get('$T(id_index)')}:{KSR.pv.get('$T(id_label)')}"


def tm_relay() -> bool:
    """Send the request to its branches."""
    return int(KSR.tm.t_relay()) > 0


def tm_reply(code: int, reason: str) -> None:
    """Answer the request of the current transaction."""
    KSR.tm.t_reply(code, reason)


def tm_is_retransmission() -> bool:
    """Whether this request is already being handled; if so its last reply has been sent again."""
    if int(KSR.tmx.t_precheck_trans()) > 0:
        KSR.tm.t_check_trans()
        return True
    return int(KSR.tm.t_check_trans()) == 0


def tm_matches() -> bool:
    """Whether this CANCEL or ACK belongs to a transaction of ours."""
    return int(KSR.tm.t_check_trans()) > 0


def tm_routes(branch: str = "", reply: str = "", failure: str = "") -> None:
    """Arm the handlers for this transaction's branches, replies and failure."""
    if branch:
        KSR.tm.t_on_branch(branch)
    if reply:
        KSR.tm.t_on_reply(reply)
    if failure:
        KSR.tm.t_on_failure(failure)


def tm_suspend(milliseconds: int) -> bool:
    """Hold the transaction; its failure route runs when the time is over."""
    KSR.tm.t_set_fr(milliseconds, milliseconds)
    return int(KSR.tmx.t_suspend()) > 0


def tm_wait(milliseconds: int, after_provisional: int = 0) -> None:
    """Give the branches of this transaction so long to answer; those of an INVITE that have said 1xx ``after_provisional``."""
    KSR.tm.t_set_fr(after_provisional or milliseconds, milliseconds)


def tm_continue(transaction: str, route: str) -> bool:
    """Take up a transaction that was held, from another request's handler or a timer; False when it is held no more."""
    index, _, label = transaction.partition(":")
    return int(KSR.tmx.t_continue(int(index), int(label), route)) > 0


def tm_cancelled() -> bool:
    """In a failure route: whether the caller gave up."""
    return int(KSR.tm.t_is_canceled()) > 0


def tm_timed_out() -> bool:
    """In a failure route: whether the winning branch ended by our own timer."""
    return int(KSR.tm.t_branch_timeout()) > 0


def tm_was_replied() -> bool:
    """In a failure route: whether the winning branch had any reply."""
    return int(KSR.tm.t_branch_replied()) > 0


def tm_reply_code() -> int:
    """The status the transaction has so far (of the winning branch, in a failure route)."""
    return pv_int("$T_reply_code")


def tm_branch() -> int:
    """Index of the branch that a branch, reply or failure route runs for."""
    return pv_int("$T_branch_idx")


def tm_send(method: str, ruri: str, next_hop: str, socket: str, headers: str, body: str = "") -> bool:
    """Send a request of our own; False when it did not leave."""
    return int(KSR.tm.t_uac_send(method, ruri, next_hop, socket, headers, body)) > 0


def send(next_hop: str, socket: str, message: str) -> bool:
    """Send a message as it is, without a transaction; False when it did not leave."""
    return int(KSR.corex.sendx(next_hop, socket, message)) > 0


# --------------------------------------------------------------------------------------- bindings, held calls


def save_binding(uri: str) -> int:
    """Store the REGISTER's contact as the only one of ``uri`` and answer.

    Returns 1 added, 2 refreshed, 3 removed, 4 nothing to store (a query), -1 refused (not answered).
    """
    # What was removed stays in memory, expired, until usrloc's next sweep if it is in the database, and then counts as refreshed.
    bound = is_bound(uri)
    result = int(KSR.registrar.save_uri(LOCATION, 4, uri))
    return 1 if result == 2 and not bound else result


def is_bound(uri: str) -> bool:
    """Whether there is a live binding for ``uri``."""
    return int(KSR.registrar.registered_uri(LOCATION, uri)) > 0


def branch_to(uri: str) -> bool:
    """Add the binding of ``uri`` as a branch of the request; False when there is none."""
    return int(KSR.registrar.lookup_to_dset(LOCATION, uri)) > 0


def branch_to_uri(uri: str) -> None:
    """Add a URI as a branch of the request."""
    KSR.corex.append_branch_uri(uri)


def branches() -> int:
    """How many branches the request has besides its Request-URI."""
    return pv_int("$branch(count)")


def ruri_to(uri: str) -> bool:
    """Make the binding of ``uri`` the Request-URI; False when there is none."""
    return int(KSR.registrar.lookup_uri(LOCATION, uri)) > 0


def binding_flow(uri: str) -> str:
    """The flow the binding of ``uri`` was made by (``sip:address:port;transport=…``), ``""`` when there is no binding."""
    return binding(uri)[0]


def binding(uri: str) -> tuple[str, str, str]:
    """The flow of the binding of ``uri``, and Call-ID and CSeq of the REGISTER that made it; all ``""`` when there is none."""
    # What was unregistered or has run out stays in memory for up to a second, and would be fetched.
    if not is_bound(uri) or int(KSR.registrar.reg_fetch_contacts(LOCATION, uri, "nb")) < 0:
        return "", "", ""
    found = pv("$(ulc(nb=>received)[0])"), pv("$(ulc(nb=>callid)[0])"), pv("$(ulc(nb=>cseq)[0])")
    KSR.registrar.reg_free_contacts("nb")
    return found


def bound_contact(uri: str) -> tuple[str, str, str]:
    """Contact, flow and local socket of the binding of ``uri``; all ``""`` when there is none."""
    if not is_bound(uri) or int(KSR.registrar.reg_fetch_contacts(LOCATION, uri, "nb")) < 0:
        return "", "", ""
    contact = pv("$(ulc(nb=>addr)[0])")
    found = contact, pv("$(ulc(nb=>received)[0])") or contact, pv("$(ulc(nb=>socket)[0])")
    KSR.registrar.reg_free_contacts("nb")
    return found


def save_copy(uri: str) -> bool:
    """Keep the REGISTER's contact under ``uri`` as well, in memory alone and without answering."""
    return int(KSR.registrar.save_uri(LOCATION, 1 | 2 | 4, uri)) > 0


def forget_copy(uri: str) -> None:
    """Remove what save_copy kept."""
    KSR.registrar.unregister(LOCATION, uri)


def append_to_transaction(transaction: str, uri: str) -> int:
    """Add the binding of ``uri`` to a transaction that is ringing, from another request's handler.

    Returns > 0 when an INVITE left; -2 cancelled, -3 answered, anything else: not appended (already rung, or gone).
    """
    index, _, label = transaction.partition(":")
    return int(KSR.tsilo.ts_append_to_uri(int(index), int(label), LOCATION, uri))


# -------------------------------------------------------------------------------------------- shared memory


def table_get(table: str, key: str) -> str:
    """The value at ``key``, ``""`` when absent."""
    value = KSR.htable.sht_get(table, key)
    return "" if value is None else str(value)


def table_set(table: str, key: str, value: str) -> None:
    """Set the value at ``key``."""
    KSR.htable.sht_sets(table, key, value)


def table_put(table: str, key: str, value: str) -> bool:
    """The same; False when there is no memory for it."""
    return int(KSR.htable.sht_sets(table, key, value)) > 0


def table_set_for(table: str, key: str, value: str, seconds: int) -> None:
    """Set the value at ``key``, to vanish by itself."""
    KSR.htable.sht_setxs(table, key, value, seconds)


def table_count(table: str, key: str) -> int:
    """Add one to the number at ``key``; the number after that."""
    return int(KSR.htable.sht_inc(table, key))


def table_remove(table: str, key: str) -> None:
    """Remove ``key``."""
    KSR.htable.sht_rm(table, key)


def table_lock(table: str, key: str) -> None:
    """Take the lock of the slot that holds ``key``; held for microseconds, always released in ``finally``."""
    KSR.htable.sht_lock(table, key)


def table_unlock(table: str, key: str) -> None:
    """Release what table_lock took."""
    KSR.htable.sht_unlock(table, key)


def table_keys(table: str) -> Iterator[str]:
    """All keys, one after the other. Only for timer processes: it walks the whole table, and locks each slot in turn."""
    if int(KSR.htable.sht_iterator_start("keys", table)) <= 0:
        return
    try:
        while int(KSR.htable.sht_iterator_next("keys")) > 0:
            yield pv("$shtitkey(keys)")
    finally:
        KSR.htable.sht_iterator_end("keys")


def table_items(table: str) -> list[tuple[str, str]]:
    """All keys and values. Only for timer processes: it walks the whole table."""
    items: list[tuple[str, str]] = []
    if int(KSR.htable.sht_iterator_start("walk", table)) > 0:
        while int(KSR.htable.sht_iterator_next("walk")) > 0:
            items.append((pv("$shtitkey(walk)"), pv("$shtitval(walk)")))
        KSR.htable.sht_iterator_end("walk")
    return items


def queue_add(queue: str, key: str, value: str) -> None:
    """Hand a message to the process that drains ``queue``."""
    KSR.mqueue.mq_add(queue, key, value)


def queue_next(queue: str) -> tuple[str, str] | None:
    """Take the oldest message of ``queue``, None when it is empty."""
    if int(KSR.mqueue.mq_fetch(queue)) <= 0:
        return None
    return str(KSR.mqueue.mqk_get(queue)), str(KSR.mqueue.mqv_get(queue))


# --------------------------------------------------------------------------------------------- identity, NAT


def digest_check(realm: str, ha1: str) -> int:
    """Check the request's digest credentials against an HA1 (RFC 7616): one of the DIGEST_ outcomes."""
    result = int(KSR.auth.pv_auth_check(realm, ha1, 1, 0))
    if result > 0:
        return DIGEST_OK
    return DIGEST_WRONG if result == -2 else DIGEST_STALE


def digest_challenge(realm: str) -> None:
    """Answer 401 (REGISTER) or 407 with a fresh nonce and qop=auth."""
    KSR.auth.auth_challenge(realm, 1)


def digest_answer() -> bool:
    """In a failure route: answer the challenge with ``$avp(auser)``, ``$avp(arealm)`` and the HA1 in ``$avp(apass)``."""
    return int(KSR.uac.uac_auth_mode(1)) > 0


def replace_from(display: str, uri: str) -> None:
    """Show ``uri`` as the caller; module uac undoes it in the replies and for the whole dialog."""
    KSR.uac.uac_replace_from(display, uri)


def replace_to(uri: str) -> None:
    """Show ``uri`` as the callee, undone likewise."""
    KSR.uac.uac_replace_to("", uri)


def behind_nat() -> bool:
    """Whether Contact or Via do not match where the message came from, or it came over a WebSocket."""
    return int(KSR.nathelper.nat_uac_test(64 | 19)) > 0


def remember_source() -> str:
    """Keep the flow a REGISTER came by with its binding, and return it (``sip:address:port;transport=…``)."""
    KSR.nathelper.fix_nated_register()
    return pv("$avp(RECEIVED)")


def follow_alias() -> None:
    """Send an in-dialog request to the flow that its ``alias`` parameter names (RFC 5923's idea, for NAT)."""
    KSR.nathelper.handle_ruri_alias()


def record_route(parameter: str) -> None:
    """Stay in the dialog; ``parameter`` (``;name=value``) comes back in every later request."""
    KSR.rr.add_rr_param(parameter)
    KSR.rr.record_route()


def loose_route() -> bool:
    """Follow the Route set (RFC 3261, 16.4)."""
    return int(KSR.rr.loose_route()) > 0


def track_dialog() -> None:
    """Keep state of this dialog (CSeq after authentication)."""
    KSR.dialog.dlg_manage()


# ------------------------------------------------------------------------------------------------------ media


_DESCRIPTION = "$var(nb_sdp)"  # what rtpengine is given for the body (read_sdp_pv)


def media_offer(description: str, flags: str) -> bool:
    """Have the offer in this message replaced by what rtpengine makes of ``description``."""
    pv_set(_DESCRIPTION, description)
    return int(KSR.rtpengine.rtpengine_offer(flags)) > 0


def media_answer(description: str, flags: str) -> bool:
    """The same of the answer in this message."""
    pv_set(_DESCRIPTION, description)
    return int(KSR.rtpengine.rtpengine_answer(flags)) > 0


def media_delete(flags: str = "") -> None:
    """Free the media of this call."""
    KSR.rtpengine.rtpengine_delete(flags)


# ------------------------------------------------------------------------------------- HTTP, WebSocket, log


def websocket_handshake() -> bool:
    """Complete the WebSocket handshake of this HTTP request (RFC 7118)."""
    return int(KSR.websocket.handle_handshake()) > 0


def http_reply(code: int, reason: str, content_type: str, body: str) -> None:
    """Answer an HTTP request."""
    KSR.xhttp.xhttp_reply(code, reason, content_type, body)


def log_error(text: str) -> None:
    """Write to Kamailio's log at level ERROR."""
    KSR.err(text + "\n")


def log_info(text: str) -> None:
    """Write to Kamailio's log at level INFO."""
    KSR.info(text + "\n")
