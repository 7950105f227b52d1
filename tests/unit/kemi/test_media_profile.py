"""How the media of one side is handed to the other: no more is changed, and no more transcoded, than a side needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.domain import codecs
from kemi import media_profile, sdp
from kemi.media_profile import Leg, Terms

BROWSER = (
    "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n"
    "a=fingerprint:sha-256 AA:BB\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n"
)
PBX = "v=0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
SDES = "v=0\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
OPUS = (
    "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=fingerprint:sha-256 AA:BB\r\n"
)
FAX = "v=0\r\nm=image 4000 udptl t38\r\n"


def flags(body: str, to: Leg, **policies: list[str]) -> list[str]:
    return media_profile.offer(sdp.read(body), to, **policies).split()


@pytest.mark.parametrize(
    ("body", "leg"), [(BROWSER, Leg.WEBRTC), (PBX, Leg.PLAIN), (SDES, Leg.SDES), ("", Leg.PLAIN)]
)
def test_what_a_side_takes_is_seen_in_what_it_sends(body: str, leg: Leg) -> None:
    assert media_profile.leg_of(sdp.read(body)) is leg


def test_s4_an_association_has_one_name_as_long_as_it_has_its_certificate() -> None:
    named = sdp.with_tls_id(BROWSER)
    assert named == BROWSER.replace("v=0\r\n", "v=0\r\na=tls-id:aabb\r\n")
    assert "a=tls-id:aacc\r" in sdp.with_tls_id(BROWSER.replace("AA:BB", "AA:CC"))
    assert sdp.with_tls_id(named) == named, "the device's own name counts"


def test_who_has_ice_and_tells_no_address_yet_has_one_to_begin_with() -> None:
    body = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:a\r\n"
    begun = sdp.with_candidate(body, "192.0.2.9")
    assert begun == body + "a=candidate:0 1 UDP 1 192.0.2.9 9 typ host\r\n"
    assert sdp.with_candidate(begun, "192.0.2.7") == begun, "one that has addresses keeps them"
    assert sdp.with_candidate(PBX, "192.0.2.9") == PBX, "without ICE there is nothing to look for"
    assert sdp.with_candidate(f"{body}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "192.0.2.9").count("typ host") == 2


@pytest.mark.parametrize("body", [PBX, SDES, FAX, "", "a=fingerprint:sha-256 AA:BB"])
def test_where_no_keys_come_by_dtls_there_is_no_association_to_name(body: str) -> None:
    assert sdp.with_tls_id(body) == body


@given(st.text())
def test_whatever_is_named_is_a_text_that_kamailio_can_have(body: str) -> None:
    assert "\0" not in sdp.with_tls_id(body)
    assert sdp.read(sdp.with_tls_id(body)) == sdp.read(body.replace("\0", ""))


@pytest.mark.parametrize(
    ("setting", "transport", "leg"),
    [
        ("auto", "wss", Leg.WEBRTC),
        ("auto", "ws", Leg.WEBRTC),
        ("auto", "tls", Leg.PLAIN),
        ("sdes", "tls", Leg.SDES),
        ("plain", "wss", Leg.PLAIN),
        ("webrtc", "udp", Leg.WEBRTC),
        ("nonsense", "udp", Leg.PLAIN),
    ],
)
def test_a_device_takes_what_it_is_set_to_or_what_its_transport_tells(
    setting: str, transport: str, leg: Leg
) -> None:
    assert media_profile.leg_of_device(setting, transport) is leg


def test_a_browsers_offer_needs_no_transcoding_at_a_pbx() -> None:
    found = flags(BROWSER, Leg.PLAIN)
    assert {"RTP/AVP", "ICE=remove", "rtcp-mux-demux"} <= set(found)
    assert not [flag for flag in found if flag.startswith("codec-")]


def test_a_side_that_knows_no_g711_is_transcoded_for_a_pbx_that_may_want_g722_alone() -> None:
    assert [f for f in flags(OPUS, Leg.PLAIN) if f.startswith("codec-")] == [
        "codec-transcode-PCMU",
        "codec-transcode-PCMA",
        "codec-transcode-G722",
        "codec-transcode-telephone-event",
    ]


def test_a_browser_is_offered_opus_last() -> None:
    found = flags(PBX, Leg.WEBRTC)
    assert {"UDP/TLS/RTP/SAVPF", "ICE=force", "SDES-off"} <= set(found)
    assert next(f for f in found if f.startswith("codec-")) == "codec-transcode-opus"


def test_an_sdes_device_gets_its_keys_in_the_text() -> None:
    assert {"RTP/SAVP", "DTLS=off", "ICE=remove"} <= set(flags(PBX, Leg.SDES))


def test_sdes_is_not_offered_with_suites_that_do_not_encrypt() -> None:
    again = Terms().offer_again(sdp.read(PBX), to_device=False).split()
    for found in (flags(PBX, Leg.SDES), again):
        assert {"SDES-no-NULL_HMAC_SHA1_80", "SDES-no-NULL_HMAC_SHA1_32"} <= set(found)


def test_a_policy_offers_what_both_know_and_transcodes_only_without_such() -> None:
    found = [f for f in flags(PBX, Leg.WEBRTC, receiver=["opus", "PCMA"]) if f.startswith("codec-")]
    assert found == ["codec-strip-all", "codec-offer-PCMA", "codec-offer-telephone-event", "codec-offer-CN"]
    found = [f for f in flags(PBX, Leg.WEBRTC, receiver=["opus"]) if f.startswith("codec-")]
    assert found == ["codec-mask-all", "codec-transcode-opus", "codec-transcode-telephone-event"]


def test_a_senders_policy_is_kept_too_unless_nothing_would_be_left() -> None:
    assert "codec-strip-PCMU" in flags(PBX, Leg.PLAIN, sender=["PCMA"])
    assert not [f for f in flags(PBX, Leg.PLAIN, sender=["opus"]) if f.startswith("codec-strip")]


def test_within_a_call_the_protocol_stays_as_it_was() -> None:
    assert "RTP/AVP" not in Terms().offer_again(sdp.read(BROWSER), to_device=False)


def test_each_side_is_offered_what_it_takes_of_what_the_other_may_send() -> None:
    terms = Terms(Leg.WEBRTC, ("opus", "PCMU"), ("PCMA",))
    to_pbx = terms.offer(sdp.read(BROWSER), to_device=False).split()
    assert "RTP/AVP" in to_pbx
    assert "codec-transcode-PCMA" in to_pbx, "the device may not speak PCMA"
    to_device = terms.offer(sdp.read(PBX), to_device=True).split()
    assert "UDP/TLS/RTP/SAVPF" in to_device
    assert "codec-transcode-PCMU" in to_device, "the PBX may not speak PCMU"


@given(st.text(max_size=20))
def test_any_letters_are_terms(text: str) -> None:
    terms = Terms.read(text)
    assert Terms.read(str(terms)) == terms


@pytest.mark.parametrize(
    ("body", "to", "receiver", "why"),
    [
        ("v=0\r\n", Leg.PLAIN, [], "no media"),
        ("v=0\r\nm=audio 0 RTP/AVP 0\r\n", Leg.PLAIN, [], "no media"),
        (FAX, Leg.WEBRTC, [], "fax"),
        (
            "v=0\r\nm=audio 9 RTP/AVP 3\r\n",
            Leg.PLAIN,
            ["PCMA"],
            "No codec in common: offered GSM, allowed PCMA",
        ),
    ],
)
def test_what_cannot_go_on_is_refused_in_words(body: str, to: Leg, receiver: list[str], why: str) -> None:
    assert why in media_profile.refusal(sdp.read(body), to, receiver)


@pytest.mark.parametrize("to", list(Leg))
def test_everything_else_goes_on(to: Leg) -> None:
    for body in (BROWSER, PBX, SDES, OPUS):
        assert media_profile.refusal(sdp.read(body), to) == ""
    assert media_profile.refusal(sdp.read(FAX), Leg.PLAIN) == ""


@given(st.text() | st.from_regex(r"(m=audio \d+ \S+ .*\r\na=rtpmap:.*\r\n)+"))
def test_no_text_breaks_it_and_none_of_it_becomes_a_flag_of_its_own(body: str) -> None:
    description = sdp.read(body)
    for to in Leg:
        for flag in media_profile.offer(description, to, ["PCMA"]).split()[2:]:
            own = flag in {f for leg in Leg for f in media_profile.offer(sdp.read(PBX), leg).split()}
            assert own or flag.startswith(("codec-strip-", "codec-transcode-"))


def test_a_policy_can_name_what_rtpengine_can_transcode() -> None:
    assert codecs.CODECS == media_profile.CODECS
    assert set(codecs.DEVICE_MEDIA) == {"auto", *(leg.value for leg in Leg)}


def test_two_hundred_lines_are_read_like_two() -> None:
    assert sdp.read(PBX + "a=x\r\n" * 200).audio == sdp.read(PBX).audio


@pytest.mark.parametrize(
    ("body", "address", "port", "sender", "certain"),
    [
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 5060, "<sip:bob@192.0.2.7>", True),
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 5070, "<sip:bob@192.0.2.7:5070>", True),
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 0, "<sip:bob@192.0.2.7:5070;transport=tls>", True),
        ("c=IN IP6 2001:db8::7\r\n" + PBX, "2001:db8::7", 5060, "<sip:bob@[2001:db8::7]>", True),
        ("c=IN IP4 10.0.0.7\r\n" + PBX, "192.0.2.7", 5060, "<sip:bob@192.0.2.7>", False),
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 41000, "<sip:bob@192.0.2.7:5060>", False),
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 5060, "<sip:bob@10.0.0.7>", False),
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 0, "", False),
        ("c=IN IP4 192.0.2.7\r\n" + PBX, "192.0.2.7", 0, "nonsense", False),
        (PBX + "c=IN IP4 192.0.2.8\r\nc=IN IP4 192.0.2.7\r\n", "192.0.2.7", 0, "<sip:192.0.2.7>", False),
        ("a=ice-ufrag:x\r\nc=IN IP4 10.0.0.7\r\n" + PBX, "192.0.2.7", 0, "<sip:bob@x.invalid>", True),
        (PBX, "192.0.2.7", 5060, "<sip:bob@192.0.2.7>", False),
    ],
)
def test_an_address_is_learned_only_where_it_is_not_certain(
    body: str, address: str, port: int, sender: str, certain: bool
) -> None:
    found = media_profile.sources(sdp.read(body), address, port, sender).split()
    assert "strict-source" in found
    assert ("endpoint-learning-off" in found) is certain


@pytest.mark.parametrize(
    "keys", ["a=fingerprint:sha-256 00\r\n", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"]
)
def test_packets_that_prove_whose_they_are_may_change_their_way_as_ice_does(keys: str) -> None:
    body = f"a=ice-ufrag:x\r\n{keys}c=IN IP4 10.0.0.7\r\n{PBX}"
    assert media_profile.sources(sdp.read(body), "192.0.2.7", 0, "<sip:x.invalid>") == "endpoint-learning-off"


VIDEO = PBX + "m=video 5000 RTP/AVP 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n"


def test_a_policy_is_about_audio_alone() -> None:
    found = flags(VIDEO, Leg.WEBRTC, receiver=["PCMA"])
    assert {"codec-offer-PCMA", "codec-offer-VP8", "codec-offer-rtx"} <= set(found)
    found = flags(VIDEO, Leg.WEBRTC, receiver=["opus"])
    assert {"codec-mask-PCMU", "codec-mask-PCMA", "codec-transcode-opus"} <= set(found)
    assert "codec-mask-all" not in found


def test_a_call_does_not_become_a_fax() -> None:
    fax = sdp.read("v=0\r\nm=image 4000 udptl t38\r\n")
    assert "T.38" in media_profile.refusal_within_call(fax)
    assert media_profile.refusal_within_call(sdp.read(PBX)) == ""
