"""The fake Kamailio does what the real one does, as far as the scripts can tell."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.kamailio import FakeError, FakeKamailio, Message, ScriptError, Sent, install
from tests.fakes.kamailio.context import Context, Edit, Origin, edited
from tests.fakes.kamailio.modules import digest_response
from tests.fakes.kamailio.sip import NameAddr, Uri, split_list

ROOT = Path(__file__).parents[3]
Script = Callable[[FakeKamailio], int | None]


class Handler:
    """A script of one function a route."""

    def __init__(self, kamailio: FakeKamailio, **routes: Script) -> None:
        self.kamailio = kamailio
        for name, script in routes.items():
            setattr(self, name, self._bound(script))
        for name in ("ksr_request_route", "ksr_reply_route", "ksr_registrar_event"):
            if name not in routes:
                setattr(self, name, lambda *_: 1)

    def _bound(self, script: Script) -> Callable[..., int | None]:
        return lambda *_: script(self.kamailio)


def kamailio(**routes: Script) -> FakeKamailio:
    fake = FakeKamailio()
    fake.handler = Handler(fake, **routes)
    return fake


def request(
    method: str = "INVITE", *headers: str, branch: str = "z9hG4bKa", uri: str = "sip:bob@192.0.2.9"
) -> str:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.7:5060;branch={branch}",
        "From: <sip:alice@192.0.2.7>;tag=1",
        f"To: <{uri}>",
        "Call-ID: c1",
        f"CSeq: 1 {method}",
        *headers,
    ]
    return "\r\n".join(lines) + "\r\n\r\n"


def reply_to(sent: Sent, code: int, *headers: str) -> str:
    message = sent.message
    lines = [f"SIP/2.0 {code} Reason", *(f"Via: {v}" for v in message.all("Via"))]
    lines += [f"{n}: {message.get(n)}" for n in ("From", "Call-ID", "CSeq")]
    return "\r\n".join([*lines, f"To: {message.get('To')};tag=far", *headers]) + "\r\n\r\n"


def codes(sent: list[Sent]) -> list[int]:
    return [s.message.code for s in sent if not s.message.is_request]


def fork(k: FakeKamailio, *uris: str) -> int:
    """Relay to all these at once, with the failure route armed."""
    k.tm.t_newtran()
    k.tm.t_on_failure("failure")
    k.seturi(uris[0])
    k.context.more_targets = [type(k.context.target)(uri) for uri in uris[1:]]
    return k.tm.t_relay()


# ---------------------------------------------------------------------------------------------------- honesty


def test_everything_kemi_asks_of_ksr_is_there() -> None:
    fake = FakeKamailio()
    for node in ast.walk(ast.parse((ROOT / "kemi" / "ksr.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Attribute):
            continue
        text = ast.unparse(node)
        if text.startswith("KSR."):
            found: object = fake
            for name in text.split(".")[1:]:
                assert hasattr(found, name), text
                found = getattr(found, name)


def test_every_pseudo_variable_kemi_reads_is_known() -> None:
    seen = []
    for file in (ROOT / "kemi").glob("*.py"):
        seen += re.findall(
            r'pv(?:_int)?\("(\$[A-Z]?[a-zA-Z_]+(?:\(id_\w+\))?)"\)', file.read_text(encoding="utf-8")
        )
    assert len(set(seen)) > 10

    def script(k: FakeKamailio) -> int:
        for name in seen:
            k.pv.get(name)
        return 1

    kamailio(ksr_request_route=script).receive(request())


def test_a_pseudo_variable_it_does_not_know_is_an_error_not_a_null() -> None:
    fake = kamailio(ksr_request_route=lambda k: (k.pv.get("$wat") and 1) or 1)
    with pytest.raises(FakeError, match=r"\$wat"):
        fake.receive(request())


def test_a_function_it_does_not_know_is_an_error() -> None:
    with pytest.raises(AttributeError):
        FakeKamailio().htable.sht_dump  # type: ignore[attr-defined] # noqa: B018


def test_ksr_without_a_kamailio_is_an_error() -> None:
    install(None)
    import KSR

    with pytest.raises(FakeError, match=r"KSR\.pv"):
        KSR.pv.get("$rm")


def test_its_tables_and_queues_are_those_of_kamailio_cfg() -> None:
    fake = FakeKamailio()
    assert {"device", "line", "connection", "park", "parked"} <= set(fake.htable.tables)
    with pytest.raises(ScriptError, match=r"not in kamailio\.cfg"):
        fake.htable.sht_sets("unheard-of", "a", "b")
    with pytest.raises(ScriptError, match=r"not in kamailio\.cfg"):
        fake.mqueue.mq_add("unheard-of", "a", "b")


def test_a_handler_that_returns_none_is_found_out() -> None:
    with pytest.raises(ScriptError, match="returned None"):
        kamailio(ksr_request_route=lambda _: None).receive(request())


def test_a_lock_left_behind_is_found_out() -> None:
    with pytest.raises(ScriptError, match="locked"):
        kamailio(ksr_request_route=lambda k: k.htable.sht_lock("park", "a")).receive(request())


def test_a_lock_taken_twice_is_found_out() -> None:
    fake = FakeKamailio()
    fake.htable.sht_lock("park", "a")
    with pytest.raises(ScriptError, match="wait for itself"):
        fake.htable.sht_lock("park", "a")


def test_a_route_that_does_not_exist_is_found_out() -> None:
    def script(k: FakeKamailio) -> int:
        k.tm.t_newtran()
        k.tm.t_on_branch("ksr_branch_missing")
        return k.tm.t_relay()

    with pytest.raises(AttributeError, match="ksr_branch_missing"):
        kamailio(ksr_request_route=script).receive(request())


def test_publishing_before_relaying_is_found_out() -> None:
    def script(k: FakeKamailio) -> int:
        k.tm.t_newtran()
        transaction = k.context.transaction
        assert transaction
        return k.tsilo.ts_append_to_uri(transaction.index, transaction.label, "location", "sip:a@b")

    with pytest.raises(ScriptError, match="crashes"):
        kamailio(ksr_request_route=script).receive(request())


# ------------------------------------------------------------------------------------------------------- text


def test_bytes_that_are_not_utf8_fail_where_they_are_read() -> None:
    def script(k: FakeKamailio) -> int:
        assert k.pv.get("$rm") == "INVITE"
        with pytest.raises(UnicodeDecodeError):
            k.pv.get("$hdr(Subject)")
        return 1

    kamailio(ksr_request_route=script).receive(
        request("INVITE", "Subject: X").encode().replace(b"X", b"\xff")
    )


def test_headers_are_found_by_compact_and_long_name_folded_or_not() -> None:
    message = Message.parse("OPTIONS sip:a SIP/2.0\r\nm: <sip:a@b>\r\nSubject: one\r\n two\r\n\r\n")
    assert message.get("Contact") == "<sip:a@b>"
    assert message.get("s") == "one two"


def test_a_script_reads_the_old_headers_until_the_message_leaves() -> None:
    message = Message.parse(request("INVITE", "X-A: 1"))
    edits = [Edit("append", "X-A: 2\r\n"), Edit("remove", "x-a"), Edit("remove-like", "^c.*ID$")]
    changed = edited(message, edits)
    assert changed.all("X-A") == ["2"]
    assert not changed.has("Call-ID")
    assert message.all("X-A") == ["1"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sip:alice@192.0.2.1:5070;transport=tcp?x=y", ("alice", "192.0.2.1", 5070, ";transport=tcp")),
        ("sips:[2001:db8::1]", ("", "[2001:db8::1]", 5060, "")),
        ("sip:a;b@c", ("a;b", "c", 5060, "")),
    ],
)
def test_uris_are_taken_apart(text: str, parts: tuple[str, str, int, str]) -> None:
    uri = Uri.parse(text)
    assert uri is not None
    assert (uri.user, uri.host, uri.port, uri.parameters) == parts


@pytest.mark.parametrize("text", ["", "tel:1", "sip:", "http://a", "sip:a@"])
def test_what_is_no_sip_uri_is_none(text: str) -> None:
    assert Uri.parse(text) is None


def test_addresses_with_and_without_brackets_are_read() -> None:
    quoted = NameAddr.parse(r'"a, <b> \"c\"" <sip:x@y;p=1>;tag=t')
    assert (quoted.display, quoted.uri, quoted.parameter("tag")) == (r'"a, <b> \"c\""', "sip:x@y;p=1", "t")
    plain = NameAddr.parse("sip:x@y;tag=t")
    assert (plain.uri, plain.parameter("tag")) == ("sip:x@y", "t")
    assert split_list('<sip:a,b>, "c,d" <sip:e>') == ["<sip:a,b>", '"c,d" <sip:e>']


# ----------------------------------------------------------------------------------------------- transactions


def test_an_invite_is_answered_100_and_relayed() -> None:
    def script(k: FakeKamailio) -> int:
        return k.tm.t_relay()

    sent = kamailio(ksr_request_route=script).receive(request())
    assert codes(sent) == [100]
    assert sent[1].message.all("Via")[0].startswith("SIP/2.0/UDP 127.0.7.1:5060;branch=")


def test_a_reply_goes_back_without_our_via() -> None:
    fake = kamailio(ksr_request_route=lambda k: k.tm.t_relay())
    invite = fake.receive(request())[1]
    (passed,) = fake.receive(reply_to(invite, 180))
    assert passed.to == "192.0.2.10:5060"
    assert passed.message.all("Via") == ["SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKa"]


def test_a_retransmission_gets_the_last_reply_again() -> None:
    seen = []

    def script(k: FakeKamailio) -> int:
        seen.append(k.tm.t_check_trans())
        return k.tm.t_relay() if seen[-1] < 0 else 1

    fake = kamailio(ksr_request_route=script)
    fake.receive(request())
    assert codes(fake.receive(request())) == [100]
    assert seen == [-1, 0]


def test_the_first_2xx_wins_and_cancels_the_others_with_its_reason() -> None:
    fake = kamailio(
        ksr_request_route=lambda k: fork(k, "sip:a@192.0.2.1", "sip:b@192.0.2.2"), failure=lambda _: 1
    )
    _, first, second = fake.receive(request())
    fake.receive(reply_to(second, 180))
    sent = fake.receive(reply_to(first, 200))
    assert codes(sent) == [200]
    (cancel,) = [s.message for s in sent if s.message.is_request]
    assert (cancel.method, cancel.via_branch) == ("CANCEL", second.message.via_branch)
    assert "cause=200" in cancel.get("Reason")


@pytest.mark.parametrize(
    ("given", "best"),
    [((486, 599), 486), ((480, 486), 480), ((404, 603), 603), ((302, 404), 302), ((500, 404), 404)],
)
def test_the_best_refusal_is_told_when_all_have_refused(given: tuple[int, int], best: int) -> None:
    seen = []

    def failure(k: FakeKamailio) -> int:
        seen.append(k.pv.get("$T_reply_code"))
        return 1

    fake = kamailio(
        ksr_request_route=lambda k: fork(k, "sip:a@192.0.2.1", "sip:b@192.0.2.2"), failure=failure
    )
    _, first, second = fake.receive(request())
    assert fake.receive(reply_to(first, given[0])) == []
    assert codes(fake.receive(reply_to(second, given[1]))) == [best]
    assert seen == [best]


def test_a_failure_route_may_answer_otherwise() -> None:
    fake = kamailio(
        ksr_request_route=lambda k: fork(k, "sip:a@192.0.2.1"), failure=lambda k: k.tm.t_reply(480, "Later")
    )
    (_, invite) = fake.receive(request())
    assert codes(fake.receive(reply_to(invite, 486))) == [480]


def test_a_branch_that_says_nothing_ends_after_the_fr_timer() -> None:
    timed_out = []

    def failure(k: FakeKamailio) -> int:
        timed_out.append(k.tm.t_branch_timeout())
        return 1

    fake = kamailio(ksr_request_route=lambda k: fork(k, "sip:a@192.0.2.1"), failure=failure)
    fake.receive(request())
    assert fake.advance(2.9) == []
    assert codes(fake.advance(0.2)) == [408]
    assert timed_out == [1]


def test_a_provisional_reply_keeps_a_branch_alive() -> None:
    fake = kamailio(ksr_request_route=lambda k: fork(k, "sip:a@192.0.2.1"), failure=lambda _: 1)
    (_, invite) = fake.receive(request())
    fake.receive(reply_to(invite, 180))
    assert fake.advance(60) == []


def test_a_cancel_is_answered_and_goes_on_to_each_branch() -> None:
    def script(k: FakeKamailio) -> int:
        if k.pv.get("$rm") == "CANCEL":
            assert k.tm.t_check_trans() > 0
            return k.tm.t_relay()
        return fork(k, "sip:a@192.0.2.1")

    cancelled = []

    def failure(k: FakeKamailio) -> int:
        cancelled.append(k.tm.t_is_canceled())
        return 1

    fake = kamailio(ksr_request_route=script, failure=failure)
    (_, invite) = fake.receive(request())
    fake.receive(reply_to(invite, 100))
    sent = fake.receive(request("CANCEL", "Reason: SIP;cause=200"))
    assert codes(sent) == [200]
    assert sent[1].message.get("Reason") == "SIP;cause=200"
    assert codes(fake.receive(reply_to(invite, 487))) == [487]
    assert cancelled == [1]


def deaf() -> tuple[FakeKamailio, Sent, list[int]]:
    """An INVITE that its far end has not answered, cancelled; and what the failure route learns of it."""
    told = []

    def script(k: FakeKamailio) -> int:
        return k.tm.t_relay() if k.pv.get("$rm") == "CANCEL" else fork(k, "sip:a@192.0.2.1")

    def failure(k: FakeKamailio) -> int:
        told.append(k.tm.t_is_canceled())
        return 1

    fake = kamailio(ksr_request_route=script, failure=failure)
    (_, invite) = fake.receive(request())
    fake.advance(1)
    assert codes(fake.receive(request("CANCEL", "Reason: SIP;cause=200"))) == [200]
    return fake, invite, told


def test_a_branch_that_has_said_nothing_is_not_sent_a_cancel_and_ends_as_487_with_the_fr_timer() -> None:
    fake, _, told = deaf()
    assert fake.advance(1.9) == []
    (ended,) = fake.advance(0.2)
    assert (ended.message.code, ended.message.reason) == (487, "Request Terminated")
    assert told == [1]


def test_a_branch_that_says_something_after_the_cancel_is_sent_it_then() -> None:
    fake, invite, _ = deaf()
    (cancel,) = fake.receive(reply_to(invite, 180))
    assert (cancel.message.method, cancel.message.get("Reason")) == ("CANCEL", "SIP;cause=200")
    assert fake.receive(reply_to(invite, 180)) == []
    assert codes(fake.receive(reply_to(invite, 487))) == [487]


def test_a_dropped_branch_does_not_leave() -> None:
    def script(k: FakeKamailio) -> int:
        k.tm.t_newtran()
        k.tm.t_on_branch("branch")
        return k.tm.t_relay()

    sent = kamailio(ksr_request_route=script, branch=lambda k: k.set_drop()).receive(request())
    assert codes(sent) == [100]
    assert len(sent) == 1


def suspended(milliseconds: int = 5000) -> FakeKamailio:
    def script(k: FakeKamailio) -> int:
        if k.pv.get("$rm") == "CANCEL":
            k.tm.t_check_trans()
            return k.tm.t_relay()
        k.tm.t_newtran()
        k.tm.t_on_failure("failure")
        k.tm.t_set_fr(milliseconds, milliseconds)
        return k.tmx.t_suspend()

    return kamailio(ksr_request_route=script, failure=lambda k: k.tm.t_reply(599, "Over"))


def test_a_suspended_transaction_ends_in_its_failure_route() -> None:
    fake = suspended()
    assert codes(fake.receive(request())) == [100]
    assert fake.advance(4.9) == []
    assert codes(fake.advance(0.2)) == [599]
    assert fake.advance(60) == []


def test_a_suspended_transaction_is_cancelled_without_a_failure_route() -> None:
    fake = suspended()
    fake.receive(request())
    assert codes(fake.receive(request("CANCEL"))) == [200, 487]
    assert fake.advance(60) == []


def test_an_order_from_outside_answers_a_suspended_transaction() -> None:
    fake = suspended()
    fake.receive(request())
    (transaction,) = fake.transactions.all
    assert codes(fake.order(transaction, 180, "Ringing")) == [180]
    assert codes(fake.order(transaction, 599, "Enough")) == [599]
    assert fake.advance(60) == []


def test_a_request_to_the_park_socket_comes_back_in() -> None:
    ports = []

    def script(k: FakeKamailio) -> int:
        ports.append(k.pv.get("$Rp"))
        if ports[-1] == 5099:
            return k.sl.sl_send_reply(480, "Asleep")
        return fork(k, f"sip:park@{k.park}")

    fake = kamailio(ksr_request_route=script, failure=lambda _: 1)
    assert codes(fake.receive(request())) == [100, 480]
    assert ports == [5060, 5099]


def test_a_binding_joins_a_ringing_transaction_once() -> None:
    fake = kamailio(ksr_request_route=lambda k: fork(k, "sip:a@192.0.2.1"), failure=lambda _: 1)
    (_, invite) = fake.receive(request())
    (transaction,) = fake.transactions.all.values()
    append = fake.tsilo.ts_append_to_uri
    assert append(transaction.index, transaction.label, "location", "sip:b@x") == -1
    fake.registrar.bind("sip:b@x", "sip:b@192.0.2.2")
    assert append(transaction.index, transaction.label, "location", "sip:b@x") == 1
    assert append(transaction.index, transaction.label, "location", "sip:b@x") == -1
    assert append(transaction.index, 0, "location", "sip:b@x") == -1
    fake.receive(reply_to(invite, 200))
    assert append(transaction.index, transaction.label, "location", "sip:b@x") == -3


# ------------------------------------------------------------------------------------------------ the modules


def test_a_binding_is_kept_refreshed_and_removed() -> None:
    results = []

    def script(k: FakeKamailio) -> int:
        results.append(k.registrar.save_uri("location", 4, "sip:a@x"))
        return 1

    fake = kamailio(ksr_request_route=script)
    for contact, expires in [
        ("<sip:a@1>", 60),
        ("<sip:a@1>", 60),
        ("<sip:a@2>", 5),
        ("<sip:a@2>", 0),
        ("<tel:1>", 1),
    ]:
        fake.receive(request("REGISTER", f"Contact: {contact}", f"Expires: {expires}"))
    assert results == [1, 2, 1, 3, -1]
    fake.receive(request("REGISTER"))
    assert results[-1] == 4


def test_a_binding_ends_with_its_time_and_short_times_are_raised() -> None:
    fake = kamailio(ksr_request_route=lambda k: k.registrar.save_uri("location", 4, "sip:a@x"))
    fake.receive(request("REGISTER", "Contact: <sip:a@1>;expires=5"))
    fake.advance(29)
    assert fake.registrar.registered_uri("location", "sip:a@x") == 1
    fake.advance(2)
    assert fake.registrar.registered_uri("location", "sip:a@x") == -1


def test_the_end_of_a_binding_is_told_to_the_script_once() -> None:
    told = []

    def script(k: FakeKamailio) -> int:
        told.append((k.pv.get("$ulc(exp=>aor)"), k.pv.get("$ulc(exp=>received)")))
        return 1

    fake = kamailio(ksr_registrar_event=script)
    fake.registrar.bind("sip:a@x", "sip:a@192.0.2.1", 60)
    fake.registrar.bind("sip:b@x", "sip:b@192.0.2.2", 600, "sip:192.0.2.2:40000;transport=tcp")
    fake.advance(59)
    assert told == []
    fake.advance(2)
    assert told == [("a@x", None)]
    fake.registrar.lose("sip:192.0.2.2:40000;transport=tcp")
    fake.advance(1)
    assert told[1:] == [("b@x", "sip:192.0.2.2:40000;transport=tcp")]
    fake.advance(600)
    assert len(told) == 2


def test_two_contacts_in_one_register_are_both_kept() -> None:
    """So does Kamailio: "one contact" replaces what was there before, not what comes together."""
    fake = kamailio(ksr_request_route=lambda k: k.registrar.save_uri("location", 4, "sip:a@x"))
    fake.receive(request("REGISTER", "Contact: <sip:a@1>, <sip:a@2>"))
    assert len(fake.registrar.bindings("sip:a@x")) == 2


def test_digest_is_checked_by_arithmetic() -> None:
    results = []

    def script(k: FakeKamailio) -> int:
        results.append(k.auth.pv_auth_check("r", "0" * 32, 1, 0))
        return k.auth.auth_challenge("r", 1) if results[-1] < 0 else 1

    fake = kamailio(ksr_request_route=script)
    challenge = fake.receive(request("REGISTER"))[0].message.get("WWW-Authenticate")
    nonce = re.search(r'nonce="([^"]+)"', challenge)
    assert nonce
    values = {"nonce": nonce[1], "uri": "sip:x", "nc": "00000001", "cnonce": "c", "qop": "auth"}
    for ha1 in ("0" * 32, "1" * 32):
        text = "".join(f', {k}="{v}"' for k, v in values.items())
        response = digest_response(ha1, "REGISTER", values)
        fake.receive(request("REGISTER", f'Authorization: Digest realm="r", response="{response}"{text}'))
    fake.receive(request("REGISTER", 'Authorization: Digest realm="r", nonce="foreign", response="x"'))
    assert results == [-5, 1, -2, -4]


def test_the_response_is_that_of_rfc_2617() -> None:
    """Section 3.5's example."""
    values = {
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "uri": "/dir/index.html",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    assert (
        digest_response("939e7578ed9e3c518a452acee763bce9", "GET", values)
        == "6629fae49393a05397450978507c4ef1"
    )


def test_a_socket_mark_in_a_request_of_our_own_becomes_an_address() -> None:
    fake = FakeKamailio()
    fake.tm.t_uac_send("REGISTER", "sip:p", "sip:192.0.2.7", "udp:127.0.7.1:5060", "X: a!!b\r\n", "")
    assert fake.sent[0].message.get("X") == "a127.0.7.1:5060b"


def test_a_message_that_is_sent_as_it_is_keeps_every_sign() -> None:
    fake = FakeKamailio()
    text = "REGISTER sip:p SIP/2.0\r\nX: a!!b\r\n\r\n"
    assert fake.corex.sendx("sip:192.0.2.7", "udp:127.0.7.1:5060", text) == 1
    assert (fake.sent[0].message.get("X"), fake.sent[0].to) == ("a!!b", "sip:192.0.2.7")
    fake.unreachable.add("sip:192.0.2.7")
    assert fake.corex.sendx("sip:192.0.2.7", "udp:127.0.7.1:5060", text) == -1


def test_nat_is_told_by_where_a_message_came_from() -> None:
    seen = []

    def script(k: FakeKamailio) -> int:
        seen.append(k.nathelper.nat_uac_test(64 | 19))
        return 1

    fake = kamailio(ksr_request_route=script)
    public = "Contact: <sip:alice@198.51.100.1>".replace("198.51.100.1", "8.8.8.8")
    fake.receive(request("OPTIONS", public), Origin("192.0.2.7", 5060))
    fake.receive(request("OPTIONS", public), Origin("192.0.2.7", 5061))
    fake.receive(request("OPTIONS", public), Origin("192.0.2.8", 5060))
    fake.receive(request("OPTIONS", public), Origin("192.0.2.7", 5060, "wss"))
    fake.receive(request("OPTIONS", "Contact: <sip:alice@10.0.0.1>"), Origin("192.0.2.7", 5060))
    assert seen == [-1, 1, 1, 1, 1]


def test_an_alias_is_followed_and_taken_out() -> None:
    fake = kamailio(ksr_request_route=lambda k: k.nathelper.handle_ruri_alias() and k.tm.t_relay())
    sent = fake.receive(request("OPTIONS", uri="sip:a@10.0.0.1;alias=192.0.2.7~40000~2"))
    assert (sent[0].to, sent[0].message.uri) == ("sip:192.0.2.7:40000;transport=tcp", "sip:a@10.0.0.1")


def test_a_route_to_us_is_followed_another_is_not() -> None:
    seen = []

    def script(k: FakeKamailio) -> int:
        seen.append(k.rr.loose_route())
        return 1

    fake = kamailio(ksr_request_route=script)
    fake.receive(request("BYE"))
    fake.receive(request("BYE", "Route: <sip:203.0.113.1;lr>"))
    fake.receive(request("BYE", "Route: <sip:127.0.7.1:5060;lr>"))
    assert seen == [-1, -1, 1]


def test_iterators_walk_a_table() -> None:
    fake = FakeKamailio()
    fake.htable.sht_sets("park", "a", "1")
    fake.htable.sht_sets("park", "b", "2")
    fake.htable.sht_iterator_start("walk", "park")
    seen = []
    while fake.htable.sht_iterator_next("walk") > 0:
        seen.append(fake.htable.at("walk"))
    assert seen == [("a", "1"), ("b", "2")]
    with pytest.raises(ScriptError, match="not ended"):
        fake.htable.sht_iterator_start("walk", "park")
    fake.htable.sht_iterator_end("walk")


def test_a_queue_gives_in_order_and_drops_the_oldest_when_full() -> None:
    from tests.fakes.kamailio.tables import MessageQueues

    queues = MessageQueues({"q": 2})
    assert queues.mq_fetch("q") < 0
    for key in "abc":
        queues.mq_add("q", key, key.upper())
    taken = []
    while queues.mq_fetch("q") > 0:
        taken.append((queues.mqk_get("q"), queues.mqv_get("q")))
    assert taken == [("b", "B"), ("c", "C")]


def test_a_context_belongs_to_a_running_handler() -> None:
    with pytest.raises(FakeError, match="no handler"):
        _ = FakeKamailio().context
    assert isinstance(Context("timer", Message.parse(request()), Origin()), Context)
