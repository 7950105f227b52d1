"""The modules that look at one message: hdr, textops, siputils, sanity, sl, auth, uac, nathelper, rr, rtpengine and the rest."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING

from tests.fakes.kamailio.context import Edit, Target, edited
from tests.fakes.kamailio.errors import ScriptError
from tests.fakes.kamailio.sip import NameAddr, Uri, parameter, split_list

if TYPE_CHECKING:
    from tests.fakes.kamailio.core import FakeKamailio

_PROTOCOLS = {1: "udp", 2: "tcp", 3: "tls", 5: "ws", 6: "wss"}


class _Module:
    def __init__(self, kamailio: FakeKamailio) -> None:
        self._kamailio = kamailio


class Hdr(_Module):
    """Module hdr (part of the core's KEMI)."""

    def append(self, line: str) -> int:
        self._kamailio.context.edits.append(Edit("append", line))
        return 1

    def is_present(self, name: str) -> int:
        return 1 if self._kamailio.context.message.has(name) else -1

    def gete(self, name: str) -> object:
        return self._kamailio.pv.gete(f"$hdr({name})")

    def append_to_reply(self, line: str) -> int:
        self._kamailio.context.reply_headers.append(line.removesuffix("\r\n"))
        return 1

    def remove(self, name: str) -> int:
        self._kamailio.context.edits.append(Edit("remove", name))
        return 1


class Kx(_Module):
    """Module kemix: the same values as the pseudo-variables', but a reply's status as a number, -1 for a request."""

    def get_method(self) -> object:
        return self._kamailio.pv.get("$rm")

    def get_status(self) -> object:
        status = self._kamailio.pv.get("$rs")
        return -1 if status is None else status

    def get_callid(self) -> object:
        return self._kamailio.pv.get("$ci")

    def get_srcip(self) -> object:
        return self._kamailio.pv.get("$si")

    def get_srcport(self) -> object:
        return self._kamailio.pv.get("$sp")

    def get_rcvport(self) -> object:
        return self._kamailio.pv.get("$Rp")

    def get_proto(self) -> object:
        return self._kamailio.pv.get("$pr")

    def gete_au(self) -> object:
        return self._kamailio.pv.gete("$au")

    def gete_tuser(self) -> object:
        return self._kamailio.pv.gete("$tU")

    def gete_ua(self) -> object:
        return self._kamailio.pv.gete("$ua")


class Textops(_Module):
    """Module textops."""

    def remove_hf_re(self, pattern: str) -> int:
        self._kamailio.context.edits.append(Edit("remove-like", pattern))
        return 1

    def has_body_type(self, kind: str) -> int:
        message = self._kamailio.context.message
        return 1 if message.body and message.get("Content-Type").lower() == kind else -1


class Siputils(_Module):
    """Module siputils."""

    def has_totag(self) -> int:
        return 1 if self._kamailio.context.message.to_tag else -1


class Maxfwd(_Module):
    """Module maxfwd."""

    def process_maxfwd(self, limit: int) -> int:
        left = self._kamailio.context.message.get("Max-Forwards")
        return -1 if left == "0" else 1


class Sanity(_Module):
    """Module sanity: the mandatory headers, a CSeq that fits, a SIP Request-URI; answers 400 itself."""

    def sanity_check(self, message_checks: int, uri_checks: int) -> int:
        message = self._kamailio.context.message
        number, _, method = message.get("CSeq").partition(" ")
        wanted = all(message.has(name) for name in ("Via", "From", "To", "Call-ID", "CSeq"))
        if wanted and number.isdigit() and method == message.method and Uri.parse(message.uri):
            return 1
        self._kamailio.sl.sl_send_reply(400, "Missing or malformed header")
        return -1


class Sl(_Module):
    """Module sl: replies without a transaction, or within it when there is one."""

    def sl_send_reply(self, code: int, reason: str) -> int:
        context = self._kamailio.context
        if context.message.method == "ACK":
            return 1
        message = self._kamailio.make_reply(context.message, code, reason, context.reply_headers)
        self._kamailio.send_back(message, context.origin)
        return 1

    def send_reply(self, code: int, reason: str) -> int:
        if self._kamailio.context.transaction:
            return self._kamailio.tm.t_reply(code, reason)
        return self.sl_send_reply(code, reason)

    def sl_reply_error(self) -> int:
        return self.sl_send_reply(*self._kamailio.error)


class Auth(_Module):
    """Module auth: digest as a server (RFC 2617 with qop=auth), MD5."""

    OK, GENERIC, INVALID_PASSWORD, NONCE_EXPIRED, NO_CREDENTIALS = 1, -1, -2, -4, -5

    def __init__(self, kamailio: FakeKamailio) -> None:
        super().__init__(kamailio)
        self._nonces: list[str] = []

    def _credentials(self) -> str:
        message = self._kamailio.context.message
        return message.get("Authorization" if message.method == "REGISTER" else "Proxy-Authorization")

    def pv_auth_check(self, realm: str, ha1: str, flags: int, checks: int) -> int:
        message, credentials = self._kamailio.context.message, self._credentials()
        values = digest_values(credentials)
        if values.get("realm") != realm:
            return self.NO_CREDENTIALS
        if values.get("nonce") not in self._nonces:
            return self.NONCE_EXPIRED
        expected = digest_response(ha1, message.method, values)
        return self.OK if values.get("response") == expected else self.INVALID_PASSWORD

    def auth_challenge(self, realm: str, flags: int) -> int:
        nonce = f"fake-nonce-{len(self._nonces)}"
        self._nonces.append(nonce)
        register = self._kamailio.context.message.method == "REGISTER"
        name = "WWW-Authenticate" if register else "Proxy-Authenticate"
        qop = ', qop="auth"' if flags & 1 else ""
        self._kamailio.context.reply_headers.append(f'{name}: Digest realm="{realm}", nonce="{nonce}"{qop}')
        reason = "Unauthorized" if register else "Proxy Authentication Required"
        return self._kamailio.sl.send_reply(401 if register else 407, reason)

    def consume_credentials(self) -> int:
        for name in ("Authorization", "Proxy-Authorization"):
            self._kamailio.context.edits.append(Edit("remove", name))
        return 1


def digest_values(header: str) -> dict[str, str]:
    """The parameters of a Digest challenge or answer, names in lower case."""
    return {
        name.lower(): quoted or plain
        for name, quoted, plain in re.findall(r'([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', header)
    }


def digest_response(ha1: str, method: str, values: dict[str, str]) -> str:
    """What ``response`` must be (RFC 2617, 3.2.2), MD5."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    ha2 = md5(f"{method}:{values.get('uri', '')}")
    middle = ":".join([values["nc"], values["cnonce"], values["qop"], ""]) if values.get("qop") else ""
    return md5(f"{ha1}:{values.get('nonce', '')}:{middle}{ha2}")


class Uac(_Module):
    """Module uac: answers a PBX's challenge in a failure route, and replaces From and To."""

    def uac_auth_mode(self, mode: int) -> int:
        context = self._kamailio.context
        reply = context.branch.reply if context.branch else None
        if context.mode != "failure" or reply is None or reply.code not in (401, 407):
            return -1
        name = "WWW-Authenticate" if reply.code == 401 else "Proxy-Authenticate"
        values = digest_values(reply.get(name))
        if values.get("realm") != context.avps.get("arealm") or not context.avps.get("auser"):
            return -1
        answer = {"nonce": values["nonce"], "uri": context.target.uri}
        if values.get("qop"):
            answer |= {"nc": "00000001", "cnonce": "fake", "qop": "auth"}
        response = digest_response(context.avps["apass"], context.message.method, answer)
        text = "".join(f', {k}="{v}"' for k, v in answer.items())
        header = "Authorization" if reply.code == 401 else "Proxy-Authorization"
        line = f'{header}: Digest username="{context.avps["auser"]}", realm="{values["realm"]}"{text}'
        number = int(context.message.get("CSeq").split(" ")[0]) + 1
        self._kamailio.dialog.raised[context.message.get("Call-ID")] = "1"
        context.edits += [
            Edit("append", f'{line}, response="{response}"\r\n'),
            Edit("remove", "CSeq"),
            Edit("append", f"CSeq: {number} {context.message.method}\r\n"),
        ]
        return 1

    def uac_replace_from(self, display: str, uri: str) -> int:
        return self._replace("From", display, uri)

    def uac_replace_to(self, display: str, uri: str) -> int:
        return self._replace("To", display, uri)

    def _replace(self, name: str, display: str, uri: str) -> int:
        context = self._kamailio.context
        old = NameAddr.parse(context.message.get(name))
        context.edits += [
            Edit("remove", name),
            Edit("append", f"{name}: {display or old.display}<{uri}>{old.tail}\r\n"),
        ]
        return 1


class Nathelper(_Module):
    """Module nathelper."""

    def nat_uac_test(self, tests: int) -> int:
        context = self._kamailio.context
        origin, via = context.origin, context.message.get("Via")
        sent_by = via.partition(" ")[2].partition(";")[0].strip()
        contact = Uri.parse(NameAddr.parse(context.message.get("Contact")).uri)
        hits = 0
        if contact and _private(contact.host):
            hits |= 1
        if sent_by.partition(":")[0] != origin.address:
            hits |= 2
        if int(sent_by.partition(":")[2] or 5060) != origin.port:
            hits |= 16
        if origin.protocol in ("ws", "wss"):
            hits |= 64
        return 1 if hits & tests else -1

    def fix_nated_register(self) -> int:
        origin = self._kamailio.context.origin
        suffix = "" if origin.protocol == "udp" else f";transport={origin.protocol}"
        self._kamailio.context.avps["RECEIVED"] = f"sip:{origin.address}:{origin.port}{suffix}"
        return 1

    def handle_ruri_alias(self) -> int:
        target = self._kamailio.context.target
        alias = parameter(target.uri, "alias")
        if not alias:
            return 2
        address, port, protocol = alias.split("~")
        target.next_hop = f"sip:{address}:{port};transport={_PROTOCOLS[int(protocol)]}"
        target.uri = target.uri.replace(f";alias={alias}", "")
        return 1


def _private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


class Rr(_Module):
    """Module rr."""

    def add_rr_param(self, text: str) -> int:
        self._kamailio.context.record_route_parameters += text
        return 1

    def record_route(self) -> int:
        context = self._kamailio.context
        uri = f"sip:{self._kamailio.address};lr=on{context.record_route_parameters}"
        context.edits.append(Edit("append", f"Record-Route: <{uri}>\r\n"))
        context.record_route_parameters = ""
        return 1

    def loose_route(self) -> int:
        context = self._kamailio.context
        routes = [r for body in context.message.all("Route") for r in split_list(body)]
        if not routes:
            return -1
        first = Uri.parse(NameAddr.parse(routes[0]).uri)
        if first is None or f"{first.host}:{first.port}" != self._kamailio.address:
            return -1
        context.edits.append(Edit("remove", "Route"))
        context.edits += [Edit("append", f"Route: {route}\r\n") for route in routes[1:]]
        if routes[1:]:
            context.target.next_hop = NameAddr.parse(routes[1]).uri
        return 1


class Textopsx(_Module):
    """Module textopsx."""

    def msg_apply_changes(self) -> int:
        context = self._kamailio.context
        context.message = edited(context.message, context.edits)
        context.edits.clear()
        return 1


class Corex(_Module):
    """Module corex."""

    def append_branch_uri(self, uri: str) -> int:
        context = self._kamailio.context
        context.more_targets.append(Target(uri, context.target.next_hop))
        return 1

    def set_send_socket(self, socket: str) -> int:
        self._kamailio.context.target.socket = socket
        return 1

    def sendx(self, next_hop: str, socket: str, data: str) -> int:
        return self._kamailio.send_as_it_is(next_hop, socket, data)


class Dialog(_Module):
    """Module dialog: the Call-IDs whose CSeq is tracked, and by how much it is ``raised``."""

    def __init__(self, kamailio: FakeKamailio) -> None:
        super().__init__(kamailio)
        self.tracked: list[str] = []
        self.raised: dict[str, str] = {}

    def dlg_manage(self) -> int:
        self.tracked.append(self._kamailio.context.message.get("Call-ID"))
        return 1


class Kex(_Module):
    """Module kex: the log level, None for the one that is set."""

    debug: int | None = None

    def setdebug(self, level: int) -> int:
        self.debug = level
        return 1

    def resetdebug(self) -> int:
        self.debug = None
        return 1


class Rtpengine(_Module):
    """Module rtpengine: the commands it would send, as (command, flags, the branch's extra id); the descriptions it was given.

    ``away``: whether nobody answers them.
    """

    def __init__(self, kamailio: FakeKamailio) -> None:
        super().__init__(kamailio)
        self.commands: list[tuple[str, str, str]] = []
        self.description: str | None = None  # read_sdp_pv
        self.relay = ""  # rtp_inst_pvar
        self.away = False
        self.descriptions: list[str] = []

    def _described(self, name: str, flags: str) -> int:
        if self.description is None:
            raise ScriptError(f"rtpengine has no description for this {name}")
        self.descriptions.append(self.description)
        self.description = None
        return self._command(name, flags)

    def _command(self, name: str, flags: str) -> int:
        self.commands.append((name, flags, self._kamailio.context.avps.get("extra_id", "")))
        if self.away:
            return -1
        self.relay = "udp:127.0.7.1:2223"
        if "fragment" in flags.split():  # answered without a description, which the module takes for an error
            return -1
        return 1

    def rtpengine_offer(self, flags: str) -> int:
        return self._described("offer", flags)

    def rtpengine_answer(self, flags: str) -> int:
        return self._described("answer", flags)

    def rtpengine_delete(self, flags: str) -> int:
        return self._command("delete", flags)


class Websocket(_Module):
    """Module websocket."""

    def handle_handshake(self) -> int:
        self._kamailio.http_replies.append((101, "Switching Protocols"))
        return 1


class Xhttp(_Module):
    """Module xhttp."""

    def xhttp_reply(self, code: int, reason: str, content_type: str, body: str) -> int:
        self._kamailio.http_replies.append((code, reason))
        return 1
