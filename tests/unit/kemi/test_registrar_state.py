"""One registration at one PBX: what each answer leads to."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import registrar_state, wire
from kemi.registrar_reply import Reply
from kemi.registrar_state import SEND, WAIT, Account
from tests.fakes.edge import connection
from tests.fakes.kamailio.modules import digest_response, digest_values

NOW = 1_800_000_000.0
OURS = "<sip:c8f2k1@127.0.7.1:5060>"
CHALLENGE = 'Digest realm="asterisk", nonce="n1", opaque="o", algorithm=MD5, qop="auth"'
SHA256 = 'Digest realm="asterisk", nonce="n2", algorithm=SHA-256, qop="auth"'


def account(**changes: object) -> Account:
    return Account("c8f2k1", connection(**changes), NOW)


def ok(contacts: str = f"{OURS};expires=600", extra: str = "", info: str = "") -> Reply:
    return Reply(200, "OK", 1, contacts=contacts, extra=extra, authentication_info=info)


def challenge(text: str = CHALLENGE, code: int = 401) -> Reply:
    return Reply(code, "Unauthorized", 1, challenge=text)


def answered(a: Account, reply: Reply, now: float = NOW, jitter: float = 0.5) -> object:
    return registrar_state.answered(a, reply, now, jitter)


def registered(granted: int = 600, jitter: float = 0.5) -> Account:
    a = account()
    answered(a, ok(f"{OURS};expires={granted}"), jitter=jitter)
    assert a.state == "registered"
    return a


# ------------------------------------------------------------------------------------------------- challenge


def test_a_new_account_is_due_at_once_and_sends_no_credential() -> None:
    a = account()
    assert (a.state, a.due) == ("new", NOW)
    assert a.credential("sip:pbx.example", "c") == ""


def test_a_challenge_is_answered_with_the_credential() -> None:
    a = account()
    assert answered(a, challenge()) == SEND
    line = a.credential("sip:pbx.example", "c")
    values = digest_values(line)
    assert (values["username"], values["realm"], values["nc"]) == ("1002", "asterisk", "00000001")
    assert values["response"] == digest_response(connection().ha1_md5, "REGISTER", values)


def test_the_strongest_challenge_is_answered() -> None:
    a = account()
    answered(a, challenge(f"{CHALLENGE}, {SHA256}"))
    assert "algorithm=SHA-256" in a.credential("sip:pbx.example", "c")


def test_md5_is_answered_when_there_is_no_ha1_for_the_stronger_one() -> None:
    a = account(ha1_sha256="")
    assert answered(a, challenge(f"{CHALLENGE}, {SHA256}")) == SEND
    assert "algorithm=MD5" in a.credential("sip:pbx.example", "c")


def test_a_407_is_answered_in_its_own_header() -> None:
    a = account()
    assert answered(a, challenge(code=407)) == SEND
    assert a.credential("sip:pbx.example", "c").startswith("Proxy-Authorization:")


def test_the_nonce_is_used_again_with_a_higher_count() -> None:
    a = account()
    answered(a, challenge())
    counts = [digest_values(a.credential("sip:p", "c"))["nc"] for _ in range(3)]
    assert counts == ["00000001", "00000002", "00000003"]


def test_the_next_nonce_of_the_pbx_is_taken() -> None:
    a = account()
    answered(a, challenge())
    answered(a, ok(info='nextnonce="n9"'))
    values = digest_values(a.credential("sip:p", "c"))
    assert (values["nonce"], values["nc"]) == ("n9", "00000001")


def test_an_old_nonce_is_replaced_without_counting_as_a_refusal() -> None:
    a = account()
    answered(a, challenge())
    answered(a, ok())
    assert answered(a, challenge(CHALLENGE.replace("n1", "n7"))) == SEND
    assert (a.failures, digest_values(a.credential("sip:p", "c"))["nonce"]) == (0, "n7")


def test_stale_is_believed_three_times_at_most() -> None:
    a = account()
    sends = 0
    while answered(a, challenge(f"{CHALLENGE}, stale=true")) == SEND:
        sends += 1
        assert sends < 10
    assert sends == 3
    assert a.state == "refused"


@pytest.mark.parametrize("realm", ["elsewhere", "Asterisk", "asterisk ", ""])
def test_s7_a_challenge_for_another_realm_gets_no_answer(realm: str) -> None:
    a = account()
    assert answered(a, challenge(f'Digest realm="{realm}", nonce="n", qop="auth"')) == WAIT
    assert a.credential("sip:p", "c") == ""
    assert a.state == "refused"
    assert a.due > NOW


def test_s7_our_realm_among_foreign_ones_is_answered() -> None:
    a = account()
    assert (
        answered(a, challenge(f'Digest realm="elsewhere", nonce="x", algorithm=SHA-256, {CHALLENGE}')) == SEND
    )
    assert 'realm="asterisk"' in a.credential("sip:p", "c")


def test_a_challenge_we_cannot_answer_is_a_refusal() -> None:
    a = account()
    assert answered(a, challenge('Digest realm="asterisk", nonce="a", algorithm=AKAv1-MD5')) == WAIT
    assert a.state == "refused"


def test_r3_the_realm_is_learned_and_the_credential_for_it_awaited() -> None:
    a = account(realm="", ha1_md5="", ha1_sha256="")
    assert answered(a, challenge()) == WAIT
    assert a.state == "awaiting-credential"
    assert a.challenge is not None
    assert a.challenge.realm == "asterisk"
    assert a.credential("sip:p", "c") == ""
    a.change(connection(), NOW + 1)
    assert (a.state, a.due) == ("new", NOW + 1)
    assert a.credential("sip:p", "c") != ""


# -------------------------------------------------------------------------------------------------- refusals


def refuse_with_wrong_password(a: Account, now: float) -> int:
    """One round: the PBX challenges whatever is sent. Returns the REGISTERs sent in answer."""
    sends = 0
    while answered(a, challenge(), now) == SEND:
        sends += 1
        assert sends < 10
    return sends


def test_r2_a_wrong_password_is_tried_once_a_round() -> None:
    a = account()
    assert refuse_with_wrong_password(a, NOW) == 1
    assert a.state == "refused"


def test_r2_a_wrong_password_backs_off_and_stops_after_a_few() -> None:
    a = account()
    now, pauses = NOW, []
    for _ in range(10):
        refuse_with_wrong_password(a, now)
        if a.due == float("inf"):
            break
        pauses.append(a.due - now)
        now = a.due
    assert len(pauses) == 2
    assert all(pause >= 60 for pause in pauses)
    assert a.state == "stopped"


@pytest.mark.parametrize("code", [403, 404])
def test_r2_a_forbidden_or_unknown_account_stops_after_a_few(code: int) -> None:
    a = account()
    for _ in range(3):
        assert answered(a, Reply(code, "No", 1), NOW) == WAIT
    assert a.state == "stopped"


def test_r2_a_stopped_account_starts_again_when_it_is_changed() -> None:
    a = account()
    for _ in range(3):
        answered(a, Reply(403, "No", 1))
    a.change(connection(ha1_md5="f" * 32), NOW + 9)
    assert (a.state, a.failures, a.due) == ("new", 0, NOW + 9)


def test_a_success_forgets_the_refusals_before_it() -> None:
    a = account()
    answered(a, Reply(403, "No", 1))
    answered(a, Reply(403, "No", 1))
    answered(a, ok())
    assert a.failures == 0
    answered(a, Reply(403, "No", 1))
    assert a.state == "refused"


def test_r3_silence_is_tried_again_for_ever_with_growing_pauses() -> None:
    a = account()
    pauses = []
    for _ in range(12):
        registrar_state.silent(a, "no-answer", NOW, 0.5)
        pauses.append(a.due - NOW)
    assert pauses == sorted(pauses)
    assert pauses[0] >= 2.5
    assert pauses[-1] <= 600
    assert (a.state, a.why) == ("unreachable", "no-answer")


def test_retry_after_is_waited_for() -> None:
    a = account()
    answered(a, Reply(503, "Busy", 1, extra="120 (maintenance)"))
    assert (a.state, a.due) == ("unreachable", NOW + 120)


def test_a_retry_after_that_is_no_number_is_ignored() -> None:
    a = account()
    answered(a, Reply(503, "Busy", 1, extra="soon"))
    assert NOW < a.due < NOW + 10


@pytest.mark.parametrize("seconds", ["9" * 400, "86400", "999999999"])
def test_a_pbx_that_asks_for_a_pause_of_days_is_asked_again_after_an_hour(seconds: str) -> None:
    a = account()
    answered(a, Reply(503, "Busy", 1, extra=seconds))
    assert a.due <= NOW + 3600


# ------------------------------------------------------------------------------------------------- 423, 2xx


def test_r3_a_423_raises_the_expiry_and_is_sent_again() -> None:
    a = account()
    assert answered(a, Reply(423, "Interval Too Brief", 1, extra="1800")) == SEND
    assert a.expires == 1800


def test_r3_a_423_never_lowers_the_expiry() -> None:
    a = account()
    answered(a, Reply(423, "Interval Too Brief", 1, extra="60"))
    assert a.expires == 600


def test_r3_a_pbx_that_always_says_423_is_not_obeyed_for_ever() -> None:
    a = account()
    sends = 0
    while answered(a, Reply(423, "Interval Too Brief", 1, extra="1800")) == SEND:
        sends += 1
        assert sends < 10
    assert (a.state, a.why) == ("refused", "too-brief")
    assert a.due > NOW


@pytest.mark.parametrize("wanted", ["²", "9" * 5000, "86401", "99999999999", "x", "-5", ""])
def test_r3_a_423_that_asks_for_no_sane_time_is_a_refusal(wanted: str) -> None:
    a = account()
    assert answered(a, Reply(423, "Interval Too Brief", 1, extra=wanted)) == WAIT
    assert (a.state, a.why, a.expires) == ("refused", "too-brief", 600)


def test_r4_a_200_without_our_contact_is_offline_not_registered() -> None:
    a = account()
    assert answered(a, ok("<sip:other@127.0.7.1:5060>;expires=600")) == WAIT
    assert a.state == "offline"
    assert a.due >= NOW + 30


def test_r4_a_contact_granted_no_time_is_offline_not_registered() -> None:
    a = account()
    assert answered(a, ok(f"{OURS};expires=0")) == WAIT
    assert (a.state, a.why) == ("offline", "not-listed")
    assert a.due >= NOW + 30


@pytest.mark.parametrize("number", ["²", "9" * 400, "9" * 5000, "-60", "x"])
def test_r3_a_granted_expiry_that_is_no_sane_number_is_not_believed(number: str) -> None:
    a = account()
    answered(a, ok(f"{OURS};expires={number}"))
    assert a.state == "registered"
    assert NOW < a.due < NOW + 600


@pytest.mark.parametrize(
    ("contacts", "extra", "granted"),
    [
        (f"{OURS};expires=300", "", 300),
        (f"<sip:other@x>;expires=60, {OURS};expires=300", "7", 300),
        (f'"Line, 2" {OURS};q=1;EXPIRES="300", <sip:other@x>;expires=60', "7", 300),
        ("sip:c8f2k1@127.0.7.1:5060;expires=300", "7", 300),
        ("sip:c8f2k1@127.0.7.1:5060 ; Expires=300, <sip:other@x>;expires=60", "", 300),
        (OURS, "300", 300),
        (OURS, "", 600),
    ],
)
def test_r3_the_expiry_granted_to_our_own_contact_is_used(contacts: str, extra: str, granted: int) -> None:
    a = account()
    answered(a, ok(contacts, extra))
    assert a.expires_at == NOW + granted


def test_r3_a_short_grant_does_not_ratchet_down_what_is_asked_for() -> None:
    a = account()
    for granted in (300, 120, 60):
        answered(a, ok(f"{OURS};expires={granted}"))
        assert a.expires == 600


@given(st.integers(10, 86_400), st.floats(0, 1, exclude_max=True))
def test_r1_the_refresh_falls_within_the_registrations_second_half(granted: int, jitter: float) -> None:
    a = registered(granted, jitter)
    assert NOW + granted * 0.5 <= a.due <= NOW + granted - 5.0


def test_r1_refreshes_are_spread() -> None:
    assert len({round(registered(jitter=j / 10).due) for j in range(10)}) == 10


@pytest.mark.parametrize("between", [Reply(423, "Interval Too Brief", 1, extra="900"), Reply(503, "Busy", 1)])
def test_r2_a_nonce_used_up_is_not_taken_for_a_wrong_password(between: Reply) -> None:
    """Any other answer says that the credential was good; a PBX of one-time nonces need not say "stale"."""
    a = account()
    assert answered(a, challenge()) == SEND
    answered(a, between)
    assert answered(a, challenge(CHALLENGE.replace("n1", "n2"))) == SEND
    assert answered(a, ok(f"{OURS};expires=900")) == WAIT
    assert (a.state, a.why) == ("registered", "")


# ------------------------------------------------------------------------------------------------ restart


def test_r1_a_valid_binding_is_kept_over_a_restart() -> None:
    before = account()
    answered(before, challenge())
    before.credential("sip:p", "c")
    before.cseq += 2
    answered(before, ok())
    after = Account("c8f2k1", connection(), NOW + 60)
    after.restore(before.keep(), NOW + 60)
    assert (after.state, after.due, after.expires_at) == (
        "registered",
        round(before.due, 2),
        before.expires_at,
    )
    values = digest_values(after.credential("sip:p", "c"))
    assert (values["nonce"], values["nc"]) == ("n1", "00000002")


def test_r1_a_refresh_that_fell_due_meanwhile_is_made_at_once() -> None:
    before = registered()
    after = Account("c8f2k1", connection(), before.due + 10)
    after.restore(before.keep(), before.due + 10)
    assert (after.state, after.due) == ("registered", before.due + 10)


def test_r1_a_binding_that_ended_meanwhile_is_registered_anew() -> None:
    before = registered()
    after = Account("c8f2k1", connection(), NOW + 3600)
    after.restore(before.keep(), NOW + 3600)
    assert (after.state, after.due) == ("new", NOW + 3600)


def test_r1_a_connection_changed_meanwhile_is_registered_anew() -> None:
    before = registered()
    after = Account("c8f2k1", connection(revision="2"), NOW + 60)
    after.restore(before.keep(), NOW + 60)
    assert (after.state, after.due) == ("new", NOW + 60)
    assert after.cseq > before.cseq


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_r1_a_binding_made_over_a_connection_that_died_is_made_again(transport: str) -> None:
    hop = f"sip:127.0.7.9:5060;transport={transport}"
    before = account(next_hop=hop)
    answered(before, ok())
    assert before.state == "registered"
    after = Account("c8f2k1", connection(next_hop=hop), NOW + 60)
    after.restore(before.keep(), NOW + 60)
    assert (after.state, after.due) == ("registered", NOW + 60)
    assert after.cseq > before.cseq


def test_r2_a_stopped_account_stays_stopped_over_a_restart() -> None:
    before = account()
    for _ in range(3):
        answered(before, Reply(403, "No", 1))
    after = Account("c8f2k1", connection(), NOW + 60)
    after.restore(before.keep(), NOW + 60)
    assert (after.state, after.due) == ("stopped", float("inf"))


def test_what_is_kept_is_json_that_any_reader_takes() -> None:
    """A stopped account is due never, and JSON has no infinity."""
    a = account()
    for _ in range(3):
        answered(a, Reply(403, "No", 1))
    assert a.due == float("inf")

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert json.loads(a.keep().encode(), parse_constant=refuse)["due"] == 0.0


def test_r2_a_refused_account_keeps_its_pause_over_a_restart() -> None:
    before = account()
    answered(before, Reply(403, "No", 1))
    after = Account("c8f2k1", connection(), NOW + 10)
    after.restore(before.keep(), NOW + 10)
    assert (after.state, after.why, after.failures) == ("refused", "forbidden", 1)
    assert after.due == round(before.due, 2)
    late = Account("c8f2k1", connection(), NOW + 3600)
    late.restore(before.keep(), NOW + 3600)
    assert late.due == NOW + 3600


@given(st.integers(0, 2**31 - 2), st.integers(1_700_000_000, 2_000_000_000))
def test_r1_cseq_never_goes_down(cseq: int, now: int) -> None:
    kept = wire.UpstreamDoc("registered", "1", cseq, now + 9.0, now + 99.0, 600)
    after = Account("c8f2k1", connection(), float(now))
    after.restore(kept, float(now))
    assert after.cseq > cseq


def test_r1_cseq_grows_even_when_its_last_value_was_lost() -> None:
    """One second of life is at least one CSeq, and REGISTERs of one account are seconds apart."""
    assert Account("c", connection(), NOW + 60).cseq >= Account("c", connection(), NOW).cseq + 60


# ------------------------------------------------------------------------------------------------ removal


def test_r6_a_removed_account_is_gone_when_the_pbx_has_confirmed() -> None:
    a = registered()
    a.leave(NOW, forget=True)
    a.sending("sip:127.0.7.9:5060", NOW)
    assert answered(a, challenge()) == SEND
    assert a.credential("sip:p", "c")
    answered(a, ok(""))
    assert a.state == "unregistered"


def test_r6_a_removed_account_whose_realm_was_never_learned_is_gone_at_the_challenge() -> None:
    a = account(realm="", ha1_md5="", ha1_sha256="")
    a.leave(NOW, forget=True)
    a.sending("sip:127.0.7.9:5060", NOW)
    assert answered(a, challenge()) == WAIT
    assert a.state == "unregistered"


@pytest.mark.parametrize("code", [302, 403, 404, 423, 500, 503, 603])
def test_r6_a_removed_account_that_the_pbx_refuses_to_sign_off_is_gone(code: int) -> None:
    a = account()
    a.failures = 2
    a.leave(NOW, forget=True)
    a.sending("sip:127.0.7.9:5060", NOW)
    assert answered(a, Reply(code, "No", 1)) == WAIT
    assert a.state == "unregistered"


def test_a_removed_account_is_gone_when_the_pbx_is_silent() -> None:
    a = registered()
    a.leave(NOW, forget=True)
    a.sending("sip:127.0.7.9:5060", NOW)
    registrar_state.silent(a, "no-answer", NOW, 0.5)
    assert a.state == "unregistered"


# ---------------------------------------------------------------------------------------------------- rest


def test_an_account_that_rests_sends_nothing_until_it_comes_back() -> None:
    a = registered()
    a.leave(NOW, forget=False)
    assert (a.state, a.due) == ("unregistering", NOW)
    a.sending("sip:127.0.7.9:5060", NOW)
    assert answered(a, ok("")) == WAIT
    assert (a.state, a.due, a.expires_at) == ("resting", float("inf"), 0.0)
    a.come_back(NOW + 9)
    assert (a.state, a.due, a.leaving) == ("new", NOW + 9, False)


@pytest.mark.parametrize("contacts", ["", "<sip:other@x>;expires=60"])
def test_an_account_that_comes_back_while_it_signs_off_registers_once_that_is_answered(contacts: str) -> None:
    a = registered()
    a.leave(NOW, forget=False)
    a.sending("sip:127.0.7.9:5060", NOW)
    a.come_back(NOW + 0.1)
    assert answered(a, ok(contacts), NOW + 0.2) == SEND
    a.sending("sip:127.0.7.9:5060", NOW + 0.2)
    assert answered(a, ok(), NOW + 0.3) == WAIT
    assert a.state == "registered"


def test_an_account_that_the_pbx_does_not_let_go_rests_all_the_same() -> None:
    a = registered()
    a.leave(NOW, forget=False)
    a.sending("sip:127.0.7.9:5060", NOW)
    registrar_state.silent(a, "no-answer", NOW + 5, 0.5)
    assert (a.state, a.due) == ("resting", float("inf"))


# ------------------------------------------------------------------------------------------- suspected ban


@pytest.mark.parametrize(
    "refusal", [Reply(403, "No", 1), Reply(404, "Who?", 1), Reply(603, "Never", 1), challenge("Basic x=y")]
)
def test_r2_silence_after_a_refusal_is_suspected_to_be_a_ban(refusal: Reply) -> None:
    a = account()
    answered(a, refusal)
    registrar_state.silent(a, "no-answer", NOW, 0.5)
    assert (a.state, a.why) == ("unreachable", "suspected-ban")
    assert a.due >= NOW + 300
    registrar_state.silent(a, "no-answer", a.due, 0.5)
    assert a.why == "suspected-ban", "it is one until somebody answers"
    answered(a, ok())
    registrar_state.silent(a, "no-answer", NOW, 0.5)
    assert a.why == "no-answer"


@pytest.mark.parametrize("trouble", [Reply(503, "Busy", 1), Reply(500, "Oops", 1), ok("")])
def test_silence_after_other_trouble_is_just_silence(trouble: Reply) -> None:
    a = account()
    answered(a, trouble)
    registrar_state.silent(a, "no-answer", NOW, 0.5)
    assert a.why == "no-answer"


# ---------------------------------------------------------------------------------------------- any answer


_replies = st.builds(
    Reply,
    code=st.sampled_from([200, 202, 301, 400, 401, 403, 404, 407, 408, 423, 480, 500, 503, 600]),
    reason=st.just(""),
    cseq=st.just(1),
    contacts=st.sampled_from(
        ["", OURS, f"{OURS};expires=60", "<sip:other@x>", "*", ",,", f"{OURS};expires=x"]
    ),
    challenge=st.sampled_from(["", CHALLENGE, SHA256, "Basic realm=x", "Digest", f"{CHALLENGE}, stale=true"]),
    extra=st.sampled_from(["", "0", "30", "3600", "x", "-1", "12 (later)"]),
)


@given(st.lists(_replies, max_size=25), st.floats(0, 1, exclude_max=True))
def test_r8_after_any_answers_an_account_has_a_next_step(history: list[Reply], jitter: float) -> None:
    a = account()
    sends = 0
    for reply in history:
        action = answered(a, reply, NOW, jitter)
        sends = sends + 1 if action == SEND else 0
        assert sends <= 3
        assert action == SEND or a.due > NOW
        assert (a.due == float("inf")) == (a.state == "stopped")
        assert re.fullmatch(r"[a-z-]+", a.state)
        a.credential("sip:p", "c")


def test_r2_silences_before_a_refusal_do_not_count_as_refusals() -> None:
    a = account()
    for _ in range(5):
        registrar_state.silent(a, "no-answer", NOW, 0.5)
    answered(a, Reply(403, "Forbidden", 1))
    assert (a.state, a.why) == ("refused", "forbidden")
