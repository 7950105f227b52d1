"""The registrar's process: what it sends, when, and what it tells the edge agent."""

from __future__ import annotations

import pytest

from kemi import wire
from tests.fakes.edge import CONNECTION, PBX, Edge, connection, requests
from tests.fakes.kamailio import Sent
from tests.fakes.kamailio.modules import digest_response, digest_values
from tests.unit.kemi.pbx import CHALLENGE, NOW, TICK, Pbx


def test_a_connection_is_registered_with_its_opaque_contact(pbx: Pbx) -> None:
    (sent,) = pbx.tick()
    assert sent.message.uri == "sip:pbx.example"
    assert (sent.to, sent.socket) == ("sip:192.0.2.7:5060;transport=udp", "udp:127.0.7.1:5060")
    assert sent.message.get("Contact") == f"<sip:{CONNECTION}@127.0.7.1:5060>"
    assert sent.message.get("To") == "<sip:1002@pbx.example>"
    assert sent.message.get("Expires") == "600"
    assert not sent.message.has("Authorization")


def test_a_challenge_is_answered_at_the_next_tick(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    values = digest_values(second.message.get("Authorization"))
    assert values["response"] == digest_response(connection().ha1_md5, "REGISTER", values)
    assert values["uri"] == second.message.uri
    assert pbx.accept(second) == []
    (event,) = pbx.upstream()
    assert (event.connection, event.state, event.code, event.realm) == (
        CONNECTION,
        "registered",
        200,
        "asterisk",
    )
    assert event.expires == 600
    assert 0 <= event.rtt_ms < 1000


def test_r1_call_id_and_from_tag_stay_and_cseq_grows(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    (third,) = pbx.tick(598)
    messages = [s.message for s in (first, second, third)]
    assert len({m.get("Call-ID") for m in messages}) == 1
    assert len({m.get("From") for m in messages}) == 1
    numbers = [int(m.get("CSeq").split(" ")[0]) for m in messages]
    assert numbers == sorted(set(numbers))


def test_r1_a_refresh_uses_the_nonce_again(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    (third,) = pbx.tick(598)
    values = digest_values(third.message.get("Authorization"))
    assert (values["nonce"], values["nc"]) == ("n1", "00000002")


def test_r1_a_restart_keeps_the_registration_and_its_identity(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.accept(first)
    (event,) = pbx.upstream()
    pbx.edge.kept[CONNECTION] = event.durable
    reborn = Pbx(pbx.edge, NOW + 30)
    assert reborn.tick() == []
    (refresh,) = reborn.tick(560)
    assert refresh.message.get("Call-ID") == first.message.get("Call-ID")
    assert refresh.message.get("From") == first.message.get("From")
    assert int(refresh.message.get("CSeq").split(" ")[0]) > int(first.message.get("CSeq").split(" ")[0])


def test_a_kept_state_that_cannot_be_read_is_said_and_the_account_registered(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    edge.kept[CONNECTION] = "{}"
    assert len(Pbx(edge).tick()) == 1
    assert CONNECTION in edge.kamailio.errors[0]


def test_a_connection_document_that_cannot_be_read_harms_no_other(edge: Edge) -> None:
    edge.table("connection")["broken"] = '{"v":1,"aors":3}'
    edge.put("connection", CONNECTION, connection())
    (sent,) = Pbx(edge).tick()
    assert CONNECTION in sent.message.get("Contact")
    assert len(edge.kamailio.errors) == 1


def test_a_connection_that_does_not_register_sends_nothing(edge: Edge) -> None:
    edge.put("connection", "trunk", connection(register=False))
    edge.put("connection", "unresolved", connection(next_hop=""))
    pbx = Pbx(edge)
    assert pbx.tick() == []
    assert pbx.tick(600) == []


def test_tls_goes_out_of_the_tls_socket(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection(next_hop="sip:192.0.2.7:5061;transport=TLS"))
    (sent,) = Pbx(edge).tick()
    assert sent.socket == "tls:127.0.7.1:5061"
    assert sent.message.get("Contact") == f"<sip:{CONNECTION}@127.0.7.1:5061;transport=tls>"


def test_r8_silence_is_noticed_and_tried_again(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    assert pbx.tick(4.9) == []
    pbx.tick(0.2)
    (event,) = pbx.upstream()
    assert (event.state, event.code, event.reason) == ("unreachable", 0, "no answer")
    (again,) = pbx.tick(10)
    assert int(again.message.get("CSeq").split(" ")[0]) > int(first.message.get("CSeq").split(" ")[0])


def test_r8_a_register_that_cannot_leave_is_tried_again(pbx: Pbx) -> None:
    pbx.edge.kamailio.unreachable.add("sip:192.0.2.7:5060;transport=udp")
    assert pbx.tick() == []
    (event,) = pbx.upstream()
    assert (event.state, event.reason) == ("unreachable", "could not be sent")
    pbx.edge.kamailio.unreachable.clear()
    assert len(pbx.tick(10)) == 1


def test_r8_a_register_that_is_lost_on_its_way_is_sent_again_as_it_was(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    assert [pbx.tick(0.1) for _ in range(16)] == [[]] * 16
    assert [copy.message for copy in pbx.copies] == [first.message] * 2
    pbx.accept(first)
    assert [e.state for e in pbx.upstream()] == ["registered"]
    pbx.tick(5)
    assert len(pbx.copies) == 2


def test_a_register_that_has_arrived_is_not_sent_again(pbx: Pbx) -> None:
    """It was lost all the same: a provisional reply promises another, and the time for that is the same."""
    (first,) = pbx.tick()
    pbx.answer(first, 100)
    for _ in range(48):
        pbx.tick(0.1)
    assert (pbx.copies, pbx.upstream()) == ([], [])
    pbx.tick(0.2)
    assert pbx.states() == [("unreachable", "no-answer")]
    pbx.tick(10)
    pbx.tick(0.6)
    assert len(pbx.copies) == 1


def test_over_tls_a_register_is_sent_once(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection(next_hop="sip:192.0.2.7:5061;transport=tls"))
    pbx = Pbx(edge)
    (first,) = pbx.tick()
    assert first.message.get("Via").startswith("SIP/2.0/TLS 127.0.7.1:5061;branch=z9hG4bK")
    for _ in range(49):
        pbx.tick(0.1)
    assert pbx.copies == []


def test_each_register_is_a_transaction_of_its_own(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    vias = [sent.message.get("Via").partition(";branch=") for sent in (first, second)]
    assert [via[0] for via in vias] == ["SIP/2.0/UDP 127.0.7.1:5060"] * 2
    assert vias[0][2] != vias[1][2]
    assert first.message.get("Max-Forwards") == "70"


def test_a_connection_that_went_and_came_at_once_sends_no_old_transaction(pbx: Pbx) -> None:
    """A PBX would take it for a copy, and answer with what it said to the first."""
    (first,) = pbx.tick()
    pbx.accept(first)
    pbx.change(None)
    (leaving,) = pbx.tick(TICK)
    pbx.accept(leaving, 0)
    pbx.change(connection())
    (back,) = pbx.tick(TICK)
    assert len({sent.message.get("Via") for sent in (first, leaving, back)}) == 3


def test_a_late_reply_to_an_earlier_register_is_ignored(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.tick(5.1)
    (second,) = pbx.tick(10)
    assert pbx.answer(first, 403) == []
    assert [e.code for e in pbx.upstream()] == [0]
    pbx.accept(second)
    assert [e.state for e in pbx.upstream()] == ["registered"]


def test_a_reply_twice_counts_once(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.accept(first)
    pbx.accept(first)
    assert len(pbx.upstream()) == 1


def test_a_control_character_in_a_reason_is_just_text(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    contact = f"Contact: {first.message.get('Contact')}"
    pbx.edge.answer(first, 500, "N\x1fo", contact, origin=PBX)
    assert pbx.tick(0.02) == []
    (event,) = pbx.upstream()
    assert (event.state, event.reason) == ("unreachable", "N o")


def test_r8_an_absurd_answer_does_not_lose_an_account(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.answer(first, 200, f"Contact: {first.message.get('Contact')};expires={'9' * 400}")
    assert len(pbx.tick(600)) == 1


def test_replies_to_other_peoples_registers_are_left_alone(pbx: Pbx) -> None:
    (sent,) = pbx.tick()
    foreign = Sent(
        type(sent.message)(
            sent.message.first,
            tuple((n, "someone-else" if n == "Call-ID" else v) for n, v in sent.message.headers),
        ),
        sent.to,
    )
    pbx.answer(foreign, 403)
    assert pbx.upstream() == []


def test_r2_a_wrong_password_stops_after_three_rounds(pbx: Pbx) -> None:
    sent, states = 0, []
    for _ in range(12):
        (*due,) = pbx.tick(700)
        while due:
            sent += 1
            due = pbx.answer(due[0], 401, CHALLENGE)
        states += [e.state for e in pbx.upstream()]
    assert states == ["refused", "refused", "stopped"]
    assert sent == 6
    assert pbx.tick(1_000_000) == []


def test_r3_a_423_is_obeyed_at_once(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 423, "Min-Expires: 1800")
    assert second.message.get("Expires") == "1800"


def test_r3_the_realm_is_told_and_the_credential_taken_when_it_comes(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection(realm="", ha1_md5="", ha1_sha256=""))
    pbx = Pbx(edge)
    (first,) = pbx.tick()
    assert pbx.answer(first, 401, CHALLENGE) == []
    (event,) = pbx.upstream()
    assert (event.state, event.realm, event.algorithm) == ("awaiting-credential", "asterisk", "MD5")
    pbx.change(connection())
    (second,) = pbx.tick(0.1)
    assert second.message.has("Authorization")
    assert edge.table("changes") == {}


def test_r4_a_200_without_our_contact_is_told_as_offline(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.answer(first, 200, "Contact: <sip:somebody@192.0.2.99>;expires=60")
    assert [e.state for e in pbx.upstream()] == ["offline"]


def test_r6_a_removed_connection_is_signed_off_with_its_credential(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    pbx.change(None)
    (farewell,) = pbx.tick(0.02)
    assert farewell.message.get("Expires") == "0"
    assert farewell.message.has("Authorization")
    pbx.answer(farewell, 200)
    assert [e.state for e in pbx.upstream()] == ["registered", "unregistered"]
    assert pbx.tick(1_000_000) == []


def test_r6_a_change_that_needs_no_new_registration_sends_nothing(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.accept(first)
    pbx.change(connection(early_ringing=False))
    assert pbx.tick(0.02) == []


def test_a_new_revision_is_registered_at_once(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.accept(first)
    pbx.change(connection(user="1003", revision="2"))
    (second,) = pbx.tick(0.02)
    assert second.message.get("To") == "<sip:1003@pbx.example>"


def test_a_change_while_a_register_is_under_way_counts_once_it_is_answered(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.change(connection(user="1003", revision="2"))
    assert pbx.tick(0.02) == []
    (second,) = pbx.accept(first)
    assert second.message.get("To") == "<sip:1003@pbx.example>"
    assert pbx.accept(second) == []
    assert pbx.upstream()[-1].state == "registered"


def test_a_refusal_of_what_was_changed_meanwhile_does_not_hold_back_the_change(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.change(connection(user="1003", revision="2"))
    pbx.tick(0.02)
    (second,) = pbx.answer(first, 404)
    assert second.message.get("To") == "<sip:1003@pbx.example>"


def test_r6_a_removal_while_a_register_is_under_way_signs_off_once_it_is_answered(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.change(None)
    assert pbx.tick(0.02) == []
    (farewell,) = pbx.accept(first)
    assert farewell.message.get("Expires") == "0"
    assert pbx.answer(farewell, 200) == []
    assert pbx.tick(600) == []
    assert pbx.upstream()[-1].state == "unregistered"


def test_a_credential_that_comes_while_the_challenge_for_it_is_under_way_is_used(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection(realm="", ha1_md5="", ha1_sha256=""))
    pbx = Pbx(edge)
    (first,) = pbx.tick()
    pbx.change(connection())
    assert pbx.tick(0.02) == []
    (second,) = pbx.answer(first, 401, CHALLENGE)
    assert second.message.has("Authorization")


def test_r6_a_connection_switched_off_and_on_at_once_goes_on_with_its_cseq(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    sent = [first, *pbx.answer(first, 401, CHALLENGE)]
    pbx.accept(sent[-1])
    pbx.change(None)
    sent += pbx.tick(TICK)
    pbx.change(connection())
    sent += pbx.tick(TICK)
    assert [s.message.get("Expires") for s in sent] == ["600", "600", "0", "600"]
    numbers = [int(s.message.get("CSeq").split(" ")[0]) for s in sent]
    assert numbers == sorted(set(numbers))
    pbx.answer(sent[2], 200)
    assert pbx.states() == [("registered", "")], "the late farewell is no news"
    pbx.accept(sent[3])
    assert pbx.states() == [("registered", "")]
    assert pbx.registrar._pbxs[first.to].in_flight == 0


def test_r6_a_connection_switched_off_and_on_before_it_could_sign_off_stays(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    pbx.accept(first)
    pbx.registrar._pbxs[first.to].pause(pbx.now + 10, pbx.now)
    pbx.change(None)
    assert pbx.tick(TICK) == []
    pbx.change(connection())
    assert pbx.tick(TICK) == []
    (again,) = pbx.tick(11)
    assert again.message.get("Expires") == "600"
    assert pbx.registrar._pbxs[first.to].in_flight == 1


# -------------------------------------------------------------------------------------------- quiet refreshes


def quiet(pbx: Pbx) -> list[wire.Refresh]:
    return [refresh for event in pbx.edge.events_of(wire.RefreshEvent) for refresh in event.each()]


def test_quiet_refreshes_are_told_together_and_shortly_after(edge: Edge) -> None:
    for number in range(20):
        edge.put("connection", f"c{number:02}", connection())
    pbx = Pbx(edge)
    while pbx.step(TICK):
        pass
    pbx.step(1)
    edge.events()
    sent = 0
    for _ in range(6000):
        sent += pbx.step(0.1)
    pbx.tick(0.3)
    events = edge.events()
    assert {type(event) for event in events} == {wire.RefreshEvent}
    assert sum(len(event.refreshes) for event in events if isinstance(event, wire.RefreshEvent)) == sent >= 20


def test_a_quiet_refresh_tells_what_a_restart_needs(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    pbx.upstream()
    (third,) = pbx.tick(598)
    pbx.accept(third)
    pbx.tick(0.2)
    (told,) = quiet(pbx)
    assert (told.connection, told.cseq) == (CONNECTION, int(third.message.get("CSeq").split(" ")[0]))
    assert (told.nc, told.nonce) == (2, "")
    assert pbx.now + 300 < told.due < told.expires_at <= pbx.now + 600
    assert 0 <= told.rtt_ms < 1000


def test_a_new_nonce_is_told_once(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    pbx.upstream()
    (third,) = pbx.tick(598)
    (fourth,) = pbx.answer(third, 401, CHALLENGE.replace("n1", "n2"))
    pbx.accept(fourth)
    pbx.accept(pbx.tick(598)[0])
    pbx.tick(0.2)
    assert [(told.nc, told.nonce) for told in quiet(pbx)] == [(1, "n2"), (2, "")]


def test_the_next_nonce_a_pbx_names_is_told(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    pbx.accept(pbx.tick(598)[0], 600, 'Authentication-Info: nextnonce="n3"')
    pbx.tick(0.2)
    (told,) = quiet(pbx)
    assert (told.nc, told.nonce) == (0, "n3")


@pytest.mark.parametrize(
    ("old", "new"), [("n1", 'n2", opaque="o'), ("MD5", "SHA-256"), ('qop="auth"', 'opaque="x"')]
)
def test_a_challenge_of_another_kind_is_told_in_full(pbx: Pbx, old: str, new: str) -> None:
    (first,) = pbx.tick()
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.accept(second)
    pbx.upstream()
    (third,) = pbx.tick(598)
    (fourth,) = pbx.answer(third, 401, CHALLENGE.replace(old, new))
    pbx.accept(fourth)
    (told,) = pbx.upstream()
    kept = wire.UpstreamDoc.decode(told.durable)
    assert (told.state, kept.nonce in ("n1", "n2")) == ("registered", True)
    assert kept.algorithm == ("SHA-256" if new == "SHA-256" else "MD5")


def test_two_hundred_refreshes_at_once_are_a_datagram(edge: Edge, no_caution: None) -> None:
    for number in range(450):
        edge.put("connection", f"c{number:03}", connection(next_hop=f"sip:192.0.2.{number % 200}:5060"))
    pbx = Pbx(edge)
    for _ in range(300):
        pbx.step(TICK)
        edge.events()
    sent = pbx.tick(600) + [s for _ in range(60) for s in pbx.tick(TICK)]
    assert len(sent) == 450
    for register in sent:
        contact = f"Contact: {register.message.get('Contact')};expires=600"
        edge.answer(register, 200, "OK", contact, origin=PBX)
    edge.events()
    pbx.tick(TICK)
    pbx.tick(0.2)
    sizes = [len(event.refreshes) for event in edge.events_of(wire.RefreshEvent)]
    assert sizes == [200, 200, 50]


def test_r1_a_thousand_accounts_leave_at_a_pace_that_grows_with_the_answers(edge: Edge) -> None:
    for number in range(1000):
        edge.put("connection", f"c{number:04}", connection())
    pbx = Pbx(edge)
    per_second = [sum(pbx.step(0.02) for _ in range(50)) for _ in range(5)]
    assert per_second[0] <= 110
    assert per_second[1] > 1.5 * per_second[0]
    assert sum(per_second) == 1000


def test_r1_a_silent_pbx_is_not_sent_more_and_more(edge: Edge, no_caution: None) -> None:
    for number in range(1000):
        edge.put("connection", f"c{number:04}", connection())
    pbx = Pbx(edge)
    sent = [sum(len(pbx.tick(0.02)) for _ in range(50)) for _ in range(30)]
    assert max(sent) <= 60
    assert sum(sent[20:]) <= 3


def test_r1_refreshes_of_accounts_registered_together_are_spread(edge: Edge) -> None:
    for number in range(100):
        edge.put("connection", f"c{number:04}", connection())
    pbx = Pbx(edge)
    registered = 0
    while registered < 100:
        registered += pbx.step(0.02)
    per_minute = [sum(pbx.step(0.1) for _ in range(600)) for _ in range(10)]
    assert sum(per_minute) == 100
    assert max(per_minute) < 40
    assert per_minute[:4] == [0, 0, 0, 0]


def test_the_timers_route_makes_its_registrar_and_keeps_it(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    assert len(requests(edge.kamailio.run_timer("ksr_rtimer_registrar"), "REGISTER")) == 1
    assert requests(edge.kamailio.run_timer("ksr_rtimer_registrar"), "REGISTER") == []
