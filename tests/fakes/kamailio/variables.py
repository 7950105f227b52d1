"""Pseudo-variables: module pv, for the names this project reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fakes.kamailio.context import Context
from tests.fakes.kamailio.errors import FakeError, ScriptError
from tests.fakes.kamailio.sip import NameAddr, Uri

if TYPE_CHECKING:
    from tests.fakes.kamailio.core import FakeKamailio

Value = str | int | None

_HEADER = re.compile(r"^\$hdr\(([\w-]+)\)$")
_ALL_HEADERS = re.compile(r"^\$\(hdr\(([\w-]+)\)\[(\*|\d+)\]\)$")
_AVP = re.compile(r"^\$avp\((\w+)\)$")
_CONTACT = re.compile(r"^\$\(ulc\((\w+)=>(ruid|addr|received|callid|cseq|socket)\)\[(\d+)\]\)$")
_EXPIRED = re.compile(r"^\$ulc\((\w+)=>(aor|received)\)$")
_WALK = re.compile(r"^\$shtit(key|val)\((\w+)\)$")
_USERNAME = re.compile(r'username\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def text_of(value: str) -> str:
    """What Python makes of a C string: UnicodeDecodeError when its bytes are not UTF-8."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8")


class PseudoVariables:
    """Module pv. Texts come as str, numbers as int, null as None; a name the fake does not know is an error."""

    def __init__(self, kamailio: FakeKamailio) -> None:
        self._kamailio = kamailio

    def get(self, name: str) -> Value:
        value = self._lookup(name)
        return text_of(value) if isinstance(value, str) else value

    def gete(self, name: str) -> str | int:
        value = self.get(name)
        return "" if value is None else value

    def geti(self, name: str) -> int:
        value = self.get(name)
        return value if isinstance(value, int) else 0

    def sets(self, name: str, value: str) -> int:
        found = _AVP.match(name)
        if not found and name not in ("$var(nb_sdp)", "$var(nb_relay)"):
            raise FakeError(f"the fake cannot set {name}")
        if not isinstance(value, str) or "\0" in value:
            raise ScriptError(f"pv.sets({name}) was given {value!r}")
        if not found:
            rtpengine = self._kamailio.rtpengine
            if name == "$var(nb_relay)":
                rtpengine.relay = value
            else:
                rtpengine.description = value
            return 1
        self._kamailio.context.avps[found[1]] = value
        return 1

    def _lookup(self, name: str) -> Value:
        context = self._kamailio.context
        if found := _HEADER.match(name):
            bodies = context.message.all(found[1])
            return bodies[0] if bodies else None
        if found := _ALL_HEADERS.match(name):
            bodies = context.message.all(found[1])
            if found[2] == "*":
                return ",".join(bodies) if bodies else None
            return bodies[int(found[2])] if int(found[2]) < len(bodies) else None
        if found := _AVP.match(name):
            return context.avps.get(found[1])
        if name == "$var(nb_relay)":
            return self._kamailio.rtpengine.relay or None
        if found := _CONTACT.match(name):
            bindings = self._kamailio.registrar.fetched(found[1])
            position = int(found[3])
            if position >= len(bindings):
                return None
            binding = bindings[position]
            if found[2] == "received":
                return binding.received or None
            if found[2] == "socket":
                return f"udp:{self._kamailio.address}"
            if found[2] == "cseq":
                return binding.cseq
            return {"ruid": binding.ruid, "addr": binding.contact, "callid": binding.callid}[found[2]]
        if found := _EXPIRED.match(name):
            registrar = self._kamailio.registrar
            if found[2] == "aor":
                return registrar.aor_of(found[1])
            return next((b.received or None for b in registrar.fetched(found[1])), None)
        if found := _WALK.match(name):
            item = self._kamailio.htable.at(found[2])
            return None if item is None else item[found[1] == "val"]
        return _of_message(name, context) if name in _MESSAGE else self._of_transaction(name, context)

    def _of_transaction(self, name: str, context: Context) -> Value:
        transaction = context.transaction
        if name == "$T(id_index)":
            return transaction.index if transaction else None
        if name == "$T(id_label)":
            return transaction.label if transaction else None
        if name == "$_s($T(id_index):$T(id_label))":
            return transaction.id if transaction else ":"
        if name == "$T_reply_reason":
            reply = context.branch.reply if context.branch else None
            return reply.reason if reply else ""
        if name == "$T_reply_code":
            if context.mode == "failure":
                return context.code
            return transaction.code if transaction else 0
        if name == "$msg(hdrs)":
            return "\r\n".join(f"{name}: {value}" for name, value in context.message.headers)
        if name == "$dlg_var(cseq_diff)":
            return self._kamailio.dialog.raised.get(context.message.get("Call-ID"))
        if name == "$branch(count)":
            return len(context.more_targets)
        if name == "$T_branch_idx":
            return context.branch.index if context.branch else 0
        raise FakeError(f"the fake does not know {name}")


_MESSAGE = {
    "$rm",
    "$ru",
    "$du",
    "$rb",
    "$(rb{s.encode.hexa})",
    "$rU",
    "$fU",
    "$fn",
    "$ft",
    "$tU",
    "$tt",
    "$ci",
    "$cs",
    "$ua",
    "$au",
    "$rs",
    "$rr",
    "$si",
    "$sp",
    "$pr",
    "$Rp",
    "$bs",
}


def _user(uri: str) -> str | None:
    parsed = Uri.parse(uri)
    return parsed.user or None if parsed else None


def _of_message(name: str, context: Context) -> Value:
    message, origin = context.message, context.origin
    match name:
        case "$rm":
            return message.method
        case "$ru":
            return context.target.uri or None
        case "$du":
            return context.target.next_hop or None
        case "$rb":
            return message.body or None
        case "$(rb{s.encode.hexa})":
            return message.body.encode("utf-8", "surrogateescape").hex() or None
        case "$rU":
            return _user(context.target.uri)
        case "$rb":
            return message.body or None
        case "$bs":
            return len(message.body.encode())
        case "$fU":
            return _user(NameAddr.parse(message.get("From")).uri)
        case "$fn":
            return NameAddr.parse(message.get("From")).display or None
        case "$ft":
            return NameAddr.parse(message.get("From")).parameter("tag") or None
        case "$tU":
            return _user(NameAddr.parse(message.get("To")).uri)
        case "$tt":
            return NameAddr.parse(message.get("To")).parameter("tag") or None
        case "$ci":
            return message.get("Call-ID") or None
        case "$cs":
            return message.get("CSeq").split(" ")[0] or None
        case "$ua":
            return message.get("User-Agent") or None
        case "$au":
            credentials = message.get("Proxy-Authorization") or message.get("Authorization")
            found = _USERNAME.search(credentials)
            return found[1] if found else None
        case "$rs":
            return None if message.is_request else message.code
        case "$rr":
            return None if message.is_request else message.reason
        case "$si":
            return origin.address
        case "$sp":
            return origin.port
        case "$pr":
            return origin.protocol
        case _:
            return origin.local_port
