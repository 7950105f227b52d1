"""The one door to Kamailio: nothing else in this package imports ``KSR``.

Kamailio answers with 1, -1, other negative numbers or None; here a question gets ``bool`` and a value gets ``str | None``,
and those numbers stay behind this door (-1 is truthy in Python, which is how scripts written without a door go wrong).
Names follow the modules: ``tm_relay`` is ``t_relay`` of module tm.

What each message asks for is taken from the modules once, at the start: each look-up on the way to a function, and each function
around it, costs as much as what it is asked for. One that Kamailio does not have ends the start, not a call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache

import KSR

LOCATION = "location"

DIGEST_OK = 0
DIGEST_WRONG = 1  # the password (or the user) is wrong
DIGEST_STALE = 2  # no credentials for this realm, or an old nonce: ask again

_Function = Callable[..., int]
_append: _Function = KSR.hdr.append
_append_to_reply: _Function = KSR.hdr.append_to_reply
_is_present: _Function = KSR.hdr.is_present
_process_maxfwd: _Function = KSR.maxfwd.process_maxfwd
_sanity_check: _Function = KSR.sanity.sanity_check
_has_totag: _Function = KSR.siputils.has_totag
_t_newtran: _Function = KSR.tm.t_newtran
_t_relay: _Function = KSR.tm.t_relay
_t_check_trans: _Function = KSR.tm.t_check_trans
_t_precheck_trans: _Function = KSR.tmx.t_precheck_trans
_t_set_fr: _Function = KSR.tm.t_set_fr
_t_suspend: _Function = KSR.tmx.t_suspend
_save_uri: _Function = KSR.registrar.save_uri
_registered_uri: _Function = KSR.registrar.registered_uri
_lookup_to_dset: _Function = KSR.registrar.lookup_to_dset
_lookup_uri: _Function = KSR.registrar.lookup_uri
_reg_fetch_contacts: _Function = KSR.registrar.reg_fetch_contacts
_reg_free_contacts: _Function = KSR.registrar.reg_free_contacts
_ts_append_to_uri: _Function = KSR.tsilo.ts_append_to_uri
_pv_auth_check: _Function = KSR.auth.pv_auth_check
_nat_uac_test: _Function = KSR.nathelper.nat_uac_test
_fix_nated_register: _Function = KSR.nathelper.fix_nated_register
_add_rr_param: _Function = KSR.rr.add_rr_param
_record_route: _Function = KSR.rr.record_route
_loose_route: _Function = KSR.rr.loose_route
_has_body_type: _Function = KSR.textops.has_body_type
_sht_sets: _Function = KSR.htable.sht_sets

# ------------------------------------------------------------------------------------------ message parts


# Value of a pseudo-variable that is a text, ``""`` for null. Raises UnicodeDecodeError on bytes that are not UTF-8.
pv: Callable[[str], str] = KSR.pv.gete

# Value of a pseudo-variable that is a number, 0 for null.
pv_int: Callable[[str], int] = KSR.pv.geti

# Set a pseudo-variable (an AVP, mostly) to a text.
pv_set: Callable[[str, str], object] = KSR.pv.sets


# What nearly every message is asked for, by functions that need not look a name up: half the time of ``pv``, or less.

# The method of a request, or of the request that a reply answers.
method: Callable[[], str] = KSR.kx.get_method

# The status of a reply; negative for a request.
status: Callable[[], int] = KSR.kx.get_status

# The Call-ID.
call_id: Callable[[], str] = KSR.kx.get_callid

# The IP address and the port the message came from, and the port of ours that it came to.
source_address: Callable[[], str] = KSR.kx.get_srcip
source_port: Callable[[], int] = KSR.kx.get_srcport
local_port: Callable[[], int] = KSR.kx.get_rcvport

# What it came by, in lower case: ``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``.
protocol: Callable[[], str] = KSR.kx.get_proto

# The user name of its digest credentials, the user of the URI in To, the body of User-Agent; ``""`` when it has none.
user_name: Callable[[], str] = KSR.kx.gete_au
to_user: Callable[[], str] = KSR.kx.gete_tuser
user_agent: Callable[[], str] = KSR.kx.gete_ua


def cseq() -> str:
    """The number in CSeq."""
    return str(pv("$cs"))


# Body of the first header of that name, ``""`` when absent. Raises UnicodeDecodeError on bytes that are not UTF-8.
header: Callable[[str], str] = KSR.hdr.gete


def headers(name: str) -> str:
    """Bodies of all headers of that name, joined by commas."""
    return pv(f"$(hdr({name})[*])")


def has_header(name: str) -> bool:
    """Whether there is such a header: cheaper than its body."""
    return _is_present(name) > 0


def via_branch() -> str:
    """The branch parameter of the topmost Via: the id of the transaction this message belongs to."""
    return header("Via").partition("branch=")[2].partition(";")[0].partition(",")[0].strip()


def via_branches() -> list[str]:
    """The branches of all Vias, the topmost first: of a reply, our own request's and then that of the request we had it from."""
    vias = headers("Via").split(",")
    return [via.partition("branch=")[2].partition(";")[0].strip() for via in vias]


def has_to_tag() -> bool:
    """Whether the request belongs to a dialog."""
    return _has_totag() > 0


def has_sdp() -> bool:
    """Whether the body is a session description."""
    return _has_body_type("application/sdp") > 0


def body() -> str:
    """The body; what of it is not UTF-8 is replaced, for a session's name may be in any encoding."""
    try:
        return pv("$rb")
    except UnicodeDecodeError:
        return bytes.fromhex(pv("$(rb{s.encode.hexa})")).decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------------ headers


def append_header(line: str) -> None:
    """Add a header to the message on its way out; ``line`` without CRLF."""
    _append(line + "\r\n")


def append_header_to_reply(line: str) -> None:
    """Add a header to the reply this request will get; ``line`` without CRLF."""
    _append_to_reply(line + "\r\n")


# Remove all headers of that name.
remove_header: Callable[[str], object] = KSR.hdr.remove


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
    remove_header(name)
    _append(f"{name}: {body}\r\n")
    KSR.textopsx.msg_apply_changes()


# ---------------------------------------------------------------------------------------------- addresses


# Whether a URI names one of our listeners.
is_myself: Callable[[str], bool] = KSR.is_myself


def from_ourselves() -> bool:
    """Whether the message was sent by one of our listeners: a call that Nightbell itself has placed."""
    return _is_listener(source_address(), source_port())


@lru_cache(maxsize=4096)
def _is_listener(address: str, port: int) -> bool:
    return bool(is_myself(f"sip:{address}:{port}"))


# Replace the Request-URI.
set_ruri: Callable[[str], object] = KSR.seturi

# Send the request there, whatever its Request-URI says.
set_next_hop: Callable[[str], object] = KSR.setdsturi

# Forget a next hop set before.
reset_next_hop: Callable[[], object] = KSR.resetdsturi

# Send the request from this listener (``protocol:address:port``), whichever one it came in by.
send_from: Callable[[str], object] = KSR.corex.set_send_socket

# Whether a next hop is set.
has_next_hop: Callable[[], bool] = KSR.isdsturiset

# Answer to the port the request came from (RFC 3581).
force_rport: Callable[[], object] = KSR.force_rport

# In a branch route: do not send this branch. In the route of all replies: do not pass this one on.
drop: Callable[[], object] = KSR.set_drop

# ----------------------------------------------------------------------------------------- sanity, replies


def hops_left() -> bool:
    """Decrement Max-Forwards; False when it has run out."""
    return _process_maxfwd(10) > 0


def sane() -> bool:
    """Syntax checks of module sanity; when False, the reply has been sent."""
    return _sanity_check(17895, 7) > 0


# Answer without a transaction, or within the one that exists.
reply: Callable[[int, str], object] = KSR.sl.send_reply

# Answer without a transaction.
reply_stateless: Callable[[int, str], object] = KSR.sl.sl_send_reply

# Answer with the status that fits Kamailio's last internal error.
reply_error: Callable[[], object] = KSR.sl.sl_reply_error

# --------------------------------------------------------------------------------------------- transactions


def tm_new() -> bool:
    """Create the transaction of this request."""
    return _t_newtran() > 0


def tm_id() -> str:
    """``index:label`` of the current transaction."""
    return pv("$_s($T(id_index):$T(id_label))")


def tm_relay() -> bool:
    """Send the request to its branches."""
    return _t_relay() > 0


# Answer the request of the current transaction.
tm_reply: Callable[[int, str], object] = KSR.tm.t_reply


def tm_is_retransmission() -> bool:
    """Whether this request is already being handled; if so its last reply has been sent again."""
    if _t_precheck_trans() > 0:
        _t_check_trans()
        return True
    return _t_check_trans() == 0


def tm_matches() -> bool:
    """Whether this CANCEL or ACK belongs to a transaction of ours."""
    return _t_check_trans() > 0


# Arm a handler for this transaction's branches, for their replies (in a branch route: for this one's), and for its failure;
# ``""``: none.
tm_on_branch: Callable[[str], object] = KSR.tm.t_on_branch
tm_on_reply: Callable[[str], object] = KSR.tm.t_on_reply
tm_on_failure: Callable[[str], object] = KSR.tm.t_on_failure


def tm_suspend(milliseconds: int) -> bool:
    """Hold the transaction; its failure route runs when the time is over."""
    _t_set_fr(milliseconds, milliseconds)
    return _t_suspend() > 0


def tm_wait(milliseconds: int, after_provisional: int = 0) -> None:
    """Give the branches of this transaction so long to answer; those of an INVITE that have said 1xx ``after_provisional``."""
    _t_set_fr(after_provisional or milliseconds, milliseconds)


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


def tm_reply_reason() -> str:
    """In a failure route: the reason phrase of the winning branch's reply."""
    return pv("$T_reply_reason")


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
    result = _save_uri(LOCATION, 4, uri)
    return 1 if result == 2 and not bound else result


def is_bound(uri: str) -> bool:
    """Whether there is a live binding for ``uri``."""
    return _registered_uri(LOCATION, uri) > 0


def branch_to(uri: str) -> bool:
    """Add the binding of ``uri`` as a branch of the request; False when there is none."""
    return _lookup_to_dset(LOCATION, uri) > 0


# Add a URI as a branch of the request.
branch_to_uri: Callable[[str], object] = KSR.corex.append_branch_uri


def branches() -> int:
    """How many branches the request has besides its Request-URI."""
    return pv_int("$branch(count)")


def ruri_to(uri: str) -> bool:
    """Make the binding of ``uri`` the Request-URI; False when there is none."""
    return _lookup_uri(LOCATION, uri) > 0


def binding_flow(uri: str) -> str:
    """The flow the binding of ``uri`` was made by (``sip:address:port;transport=…``), ``""`` when there is no binding."""
    return binding(uri)[0]


def binding(uri: str) -> tuple[str, str, str]:
    """The flow of the binding of ``uri``, and Call-ID and CSeq of the REGISTER that made it; all ``""`` when there is none."""
    # What was unregistered or has run out stays in memory for up to a second, and would be fetched.
    if not is_bound(uri) or _reg_fetch_contacts(LOCATION, uri, "nb") < 0:
        return "", "", ""
    found = pv("$(ulc(nb=>received)[0])"), pv("$(ulc(nb=>callid)[0])"), str(pv("$(ulc(nb=>cseq)[0])"))
    _reg_free_contacts("nb")
    return found


def bound_contact(uri: str) -> tuple[str, str, str]:
    """Contact, flow and local socket of the binding of ``uri``; all ``""`` when there is none."""
    if not is_bound(uri) or _reg_fetch_contacts(LOCATION, uri, "nb") < 0:
        return "", "", ""
    contact = pv("$(ulc(nb=>addr)[0])")
    found = contact, pv("$(ulc(nb=>received)[0])") or contact, pv("$(ulc(nb=>socket)[0])")
    _reg_free_contacts("nb")
    return found


def save_copy(uri: str) -> bool:
    """Keep the REGISTER's contact under ``uri`` as well, in memory alone and without answering."""
    return _save_uri(LOCATION, 1 | 2 | 4, uri) > 0


def forget_copy(uri: str) -> None:
    """Remove what save_copy kept."""
    KSR.registrar.unregister(LOCATION, uri)


def append_to_transaction(transaction: str, uri: str) -> int:
    """Add the binding of ``uri`` to a transaction that is ringing, from another request's handler.

    Returns > 0 when an INVITE left; -2 cancelled, -3 answered, anything else: not appended (already rung, or gone).
    """
    index, _, label = transaction.partition(":")
    return int(_ts_append_to_uri(int(index), int(label), LOCATION, uri))


# -------------------------------------------------------------------------------------------- shared memory


# The value at ``key``, ``""`` when absent.
table_get: Callable[[str, str], str] = KSR.htable.sht_gete

# Set the value at ``key``.
table_set: Callable[[str, str, str], object] = KSR.htable.sht_sets


def table_put(table: str, key: str, value: str) -> bool:
    """The same; False when there is no memory for it."""
    return _sht_sets(table, key, value) > 0


# Set the value at ``key``, to vanish by itself.
table_set_for: Callable[[str, str, str, int], object] = KSR.htable.sht_setxs

# Add one to the number at ``key``; the number after that.
table_count: Callable[[str, str], int] = KSR.htable.sht_inc

# Remove ``key``.
table_remove: Callable[[str, str], object] = KSR.htable.sht_rm

# Take the lock of the slot that holds ``key``; held for microseconds, always released in ``finally``.
table_lock: Callable[[str, str], object] = KSR.htable.sht_lock

# Release what table_lock took.
table_unlock: Callable[[str, str], object] = KSR.htable.sht_unlock


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


# Hand a message to the process that drains ``queue``.
queue_add: Callable[[str, str, str], object] = KSR.mqueue.mq_add


def queue_next(queue: str) -> tuple[str, str] | None:
    """Take the oldest message of ``queue``, None when it is empty."""
    if int(KSR.mqueue.mq_fetch(queue)) <= 0:
        return None
    return str(KSR.mqueue.mqk_get(queue)), str(KSR.mqueue.mqv_get(queue))


# --------------------------------------------------------------------------------------------- identity, NAT


def digest_check(realm: str, ha1: str) -> int:
    """Check the request's digest credentials against an HA1 (RFC 7616): one of the DIGEST_ outcomes."""
    result = _pv_auth_check(realm, ha1, 1, 0)
    if result > 0:
        return DIGEST_OK
    return DIGEST_WRONG if result == -2 else DIGEST_STALE


def digest_challenge(realm: str) -> None:
    """Answer 401 (REGISTER) or 407 with a fresh nonce and qop=auth."""
    KSR.auth.auth_challenge(realm, 1)


def digest_answer() -> bool:
    """In a failure route: answer the challenge with ``$avp(auser)``, ``$avp(arealm)`` and the HA1 in ``$avp(apass)``."""
    return int(KSR.uac.uac_auth_mode(1)) > 0


# Show ``uri`` as the caller; module uac undoes it in the replies and for the whole dialog.
replace_from: Callable[[str, str], object] = KSR.uac.uac_replace_from


def replace_to(uri: str) -> None:
    """Show ``uri`` as the callee, undone likewise."""
    KSR.uac.uac_replace_to("", uri)


def behind_nat() -> bool:
    """Whether Contact or Via do not match where the message came from, or it came over a WebSocket."""
    return _nat_uac_test(64 | 19) > 0


def remember_source() -> str:
    """Keep the flow a REGISTER came by with its binding, and return it (``sip:address:port;transport=…``)."""
    _fix_nated_register()
    return pv("$avp(RECEIVED)")


# Send an in-dialog request to the flow that its ``alias`` parameter names (RFC 5923's idea, for NAT).
follow_alias: Callable[[], object] = KSR.nathelper.handle_ruri_alias


def record_route(parameter: str) -> None:
    """Stay in the dialog; ``parameter`` (``;name=value``) comes back in every later request."""
    _add_rr_param(parameter)
    _record_route()


def loose_route() -> bool:
    """Follow the Route set (RFC 3261, 16.4)."""
    return _loose_route() > 0


# Keep state of this dialog (CSeq after authentication).
track_dialog: Callable[[], object] = KSR.dialog.dlg_manage


def dialog_cseq_raised() -> int:
    """By how much the CSeq numbers of the caller's requests are raised in this dialog, whose INVITE was challenged."""
    return int(pv("$dlg_var(cseq_diff)") or 0)


# ------------------------------------------------------------------------------------------------------ media


_DESCRIPTION = "$var(nb_sdp)"  # what rtpengine is given for the body (read_sdp_pv)
_RELAY = "$var(nb_relay)"  # which rtpengine has answered (rtp_inst_pvar)
_CRITICAL = -2  # a log level: errors are not printed


def media_offer(description: str, flags: str) -> bool:
    """Have the offer in this message replaced by what rtpengine makes of ``description``."""
    pv_set(_DESCRIPTION, description)
    return int(KSR.rtpengine.rtpengine_offer(flags)) > 0


def media_answer(description: str, flags: str) -> bool:
    """The same of the answer in this message."""
    pv_set(_DESCRIPTION, description)
    return int(KSR.rtpengine.rtpengine_answer(flags)) > 0


def media_candidates(fragment: str) -> bool:
    """Give rtpengine candidates of who sent this message (a fragment of a description, RFC 8840); False when none answers.

    It answers without a description, as it should, which the module takes for an error, and says so in the log.
    """
    pv_set(_DESCRIPTION, fragment)
    pv_set(_RELAY, "")
    KSR.kex.setdebug(_CRITICAL)
    try:
        KSR.rtpengine.rtpengine_offer("fragment")
    finally:
        KSR.kex.resetdebug()
    return bool(pv(_RELAY))


def media_delete(flags: str = "") -> None:
    """Free the media of this call."""
    KSR.rtpengine.rtpengine_delete(flags)


# ------------------------------------------------------------------------------------- HTTP, WebSocket, log


def websocket_handshake() -> bool:
    """Complete the WebSocket handshake of this HTTP request (RFC 7118)."""
    return int(KSR.websocket.handle_handshake()) > 0


# Answer an HTTP request.
http_reply: Callable[[int, str, str, str], object] = KSR.xhttp.xhttp_reply


def log_error(text: str) -> None:
    """Write to Kamailio's log at level ERROR."""
    KSR.err(text + "\n")


def log_info(text: str) -> None:
    """Write to Kamailio's log at level INFO."""
    KSR.info(text + "\n")
