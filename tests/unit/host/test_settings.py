"""The settings file: defaults, places, and what is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from control.settings import Table, home_from, load, parse, render
from control.settings_table import (
    MalformedSettingError,
    SettingsError,
    SettingsMissingError,
    UnknownSettingError,
    read,
)

HOME = Path("/srv/nightbell")


@dataclass(frozen=True)
class Bell:
    tone: str
    port: int = 1

    def __post_init__(self) -> None:
        if self.tone == "mute":
            raise ValueError("tone must be heard, not 'mute'")


@dataclass(frozen=True)
class Tower:
    loud: bool = False
    names: tuple[str, ...] = ()
    bells: tuple[Bell, ...] = ()
    guests: Mapping[str, Bell] = field(default_factory=dict)
    key_file: Path = Path("secrets/tower.key")


def test_an_empty_file_gives_the_defaults_with_absolute_paths() -> None:
    settings = parse({}, HOME)
    assert settings.edge.sip_port == 5060
    assert settings.edge.events_key_file == HOME / "secrets/events.key"
    assert settings.database.url == f"sqlite:///{HOME}/state/control.db"
    assert [(relay.name, relay.tree) for relay in settings.rtpengine] == [("rtpengine", None)]
    assert settings.push == {}
    assert settings.rpc_socket == HOME / "run/kamailio.rpc"


def test_the_phone_is_found_on_this_machine_unless_its_address_is_given() -> None:
    settings = parse({"edge": {"domain": "example.org"}}, HOME)
    assert settings.phone_url == "http://127.0.0.1:8080"
    assert settings.phone_websocket == "wss://example.org:5081"
    given = {"phone": {"url": "https://phone.example.org/", "websocket": "wss://sip.example.org"}}
    settings = parse(given, HOME)
    assert (settings.phone_url, settings.phone_websocket) == (
        "https://phone.example.org",
        "wss://sip.example.org",
    )
    assert parse({"phone": {"url": "http://localhost:1"}}, HOME).phone_url == "http://localhost:1"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("url", "phone.example.org", "must be like https://"),
        ("url", "http://phone.example.org", "must begin with https:"),
        ("url", "https://phone.example.org/?x", "must be like"),
        ("url", "https://example.org/phone/", "must end with the host"),
        ("url", "https://u:p@phone.example.org", "no such address"),
        ("websocket", "ws://sip.example.org", "must begin with wss:"),
        ("websocket", "wss://sip.example.org; script-src *", "no such address"),
    ],
)
def test_an_address_of_the_phone_that_no_browser_would_use_is_refused(
    key: str, value: str, words: str
) -> None:
    with pytest.raises(MalformedSettingError, match=words) as refused:
        parse({"phone": {key: value}}, HOME)
    assert str(refused.value).startswith(f"phone.{key} ")


def test_what_is_rendered_is_read_back(tmp_path: Path) -> None:
    tables: dict[str, Table | Sequence[Table]] = {
        "edge": {"domain": "example.org", "sip_port": 15060},
        "rtpengine": [
            {"name": "east", "tree": Path("/trees/rtp"), "ng_port": 12000, "rtp_max": 34999},
            {"name": "west", "ng_port": 12001, "rtp_min": 35000},
        ],
        "push.apns": {"port": 2197},
        "push.apns.keys": [
            {"key_file": "secrets/one.p8", "key_id": "K1", "team_id": "T1", "topics": ["org.one.*"]},
            {"key_file": "secrets/two.p8", "key_id": "K2", "team_id": "T2"},
        ],
    }
    (tmp_path / "nightbell.toml").write_text(render(tables), "utf-8")
    settings = load(tmp_path)
    assert (settings.edge.domain, settings.edge.sip_port) == ("example.org", 15060)
    assert [(r.name, r.ng_port) for r in settings.rtpengine] == [("east", 12000), ("west", 12001)]
    assert settings.rtpengine[0].tree == Path("/trees/rtp")
    assert list(settings.push) == ["apns"]
    apns = settings.push["apns"]
    assert apns.port == 2197
    assert [key.key_file for key in apns.keys] == [tmp_path / f"secrets/{name}.p8" for name in ("one", "two")]
    assert [key.topics for key in apns.keys] == [("org.one.*",), ()]
    assert apns.ca_file is None


def test_a_postgresql_url_is_taken_as_it_is_and_never_shown() -> None:
    settings = parse({"database": {"url": "postgresql+psycopg://nb:hidden@db/nb"}}, HOME)
    assert settings.database.url == "postgresql+psycopg://nb:hidden@db/nb"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "error", "named"),
    [
        ("[edge]\nsip_prot = 1", UnknownSettingError, "edge.sip_prot"),
        ("[edges]\nx = 1", UnknownSettingError, "edges"),
        ("[push.web]\nx = 1", UnknownSettingError, "push.web"),
        ("edge = 5", MalformedSettingError, "edge must be a table"),
        ("[turn]\nlifetime = 5", MalformedSettingError, "turn.lifetime"),
        ("[turn]\nrelay_min = 80", MalformedSettingError, "turn.relay_min"),
        ("[turn]\nrelay_min = 30000", MalformedSettingError, "turn.relay_max"),
        ("[turn]\nrelay_max = 70000", MalformedSettingError, "turn.relay_max"),
        ("[turn]\nhost = 'a b'", MalformedSettingError, "turn.host"),
        ("[turn]\nport = 0", MalformedSettingError, "turn.port"),
        ("[edge]\nsip_port = '5060'", MalformedSettingError, "edge.sip_port"),
        ("[edge]\nsip_port = true", MalformedSettingError, "edge.sip_port"),
        ("[edge]\nsip_port = 0", MalformedSettingError, "edge.sip_port"),
        ("[edge]\npark_port = 70000", MalformedSettingError, "edge.park_port"),
        ('[edge]\norigins = "phone.example"', MalformedSettingError, "edge.origins"),
        ("[edge]\nwebsocket_ping = 0", MalformedSettingError, "edge.websocket_ping"),
        ("[edge]\nworkers = 0", MalformedSettingError, "edge.workers"),
        ("[edge]\naddress = 'localhost'", MalformedSettingError, "edge.address"),
        ("[edge]\ndomain = 'a b'", MalformedSettingError, "edge.domain"),
        ('[edge]\ndomain = "a\\nb"', MalformedSettingError, "edge.domain"),
        ("[[rtpengine]]\nrtp_min = 40000\nrtp_max = 30000", MalformedSettingError, "rtpengine.rtp_min"),
        ("[rtpengine]\nng_port = 2223", MalformedSettingError, r"write \[\[rtpengine\]\]"),
        ("[[rtpengine]]\nng_prot = 2223", UnknownSettingError, r"rtpengine\[1\].ng_prot"),
        ("[[rtpengine]]\nname = 'kamailio'", MalformedSettingError, "rtpengine.name"),
        ("[[rtpengine]]\nname = '../x'", MalformedSettingError, "rtpengine.name"),
        ("[[rtpengine]]\nweight = 0", MalformedSettingError, "rtpengine.weight"),
        ("[[rtpengine]]\naddress = 'here'", MalformedSettingError, "rtpengine.address"),
        ("[[rtpengine]]\n[[rtpengine]]", MalformedSettingError, "'rtpengine' is there twice"),
        (
            "[[rtpengine]]\nname='a'\n[[rtpengine]]\nname='b'",
            MalformedSettingError,
            "ng_port 2223 is that of a",
        ),
        (
            "[[rtpengine]]\nname='a'\n[[rtpengine]]\nname='b'\nng_port=2224",
            MalformedSettingError,
            "overlap",
        ),
        ("[database]\nurl = 'sqlite://'", MalformedSettingError, "database.url"),
        ("[push.apns]", MalformedSettingError, "push.apns.keys is missing"),
        (
            "[push.apns]\nkeys = []",
            MalformedSettingError,
            r"push.apns.keys is empty: write \[\[push.apns.keys\]\]",
        ),
        (
            "[[push.apns.keys]]\nkey_id = 'K'\nteam_id = 'T'",
            MalformedSettingError,
            r"push.apns.keys\[1\].key_file is missing",
        ),
        (
            "[[push.apns.keys]]\nkey_file='a'\nkey_id='K'\nteam_id='T'\n"
            "[[push.apns.keys]]\nkey_file='b'\nkey_id='L'\nteam_id='U'",
            MalformedSettingError,
            r"push.apns.keys\[1\].topics is missing, so the keys after it would never be used",
        ),
        ("[push.fcm]\naccounts = []", MalformedSettingError, "push.fcm.accounts is empty"),
        (
            "[[push.fcm.accounts]]\nservice_account_file='a'\nproject_number='1'\n"
            "[[push.fcm.accounts]]\nservice_account_file='b'",
            MalformedSettingError,
            r"push.fcm.accounts\[2\].project_number is missing",
        ),
        (
            "[[push.fcm.accounts]]\nservice_account_file='a'\nproject_number='1'\n"
            "[[push.fcm.accounts]]\nservice_account_file='b'\nproject_number='1'",
            MalformedSettingError,
            r"push.fcm.accounts\[2\].project_number 1 is that of another",
        ),
        ("[push.webpush]", MalformedSettingError, "push.webpush.contact is missing"),
        ("[push.webpush]\ncontact = 'me'", MalformedSettingError, "push.webpush.contact must be an address"),
        ("[push.http]\nurl = 'https://x'", MalformedSettingError, "push.http.url must be a table"),
        ("[push.http.Acme]", MalformedSettingError, "push.http.Acme: a name is small letters"),
        (
            "[push.http.fcm]\nurl = 'https://x.example'\nsecret_file = 'x'",
            MalformedSettingError,
            "push.http.fcm: there is a provider of this name",
        ),
        ("[push.http.acme]\nurl = 'https://x.example'", MalformedSettingError, "push.http.acme.secret_file"),
        (
            "[push.http.acme]\nurl = 'http://x.example'\nsecret_file = 'x'",
            MalformedSettingError,
            "push.http.acme.url http://x.example: http is for this host alone",
        ),
        (
            "[push.http.acme]\nurl = 'https://me:pw@x.example'\nsecret_file = 'x'",
            MalformedSettingError,
            "push.http.acme.url must be an https URL without a user",
        ),
        ("[web]\naddress = '0.0.0.0'", MalformedSettingError, "web.address"),
        ("[web]\naddress = '192.0.2.1'", MalformedSettingError, "no logins"),
    ],
)
def test_a_mistake_is_refused_by_name(text: str, error: type[SettingsError], named: str) -> None:
    with pytest.raises(error, match=named):
        parse(tomllib.loads(text), HOME)


def test_no_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsMissingError, match="nightbell init"):
        load(tmp_path)


def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "nightbell.toml").write_text("[edge", "utf-8")
    with pytest.raises(MalformedSettingError, match=r"nightbell\.toml is not TOML"):
        load(tmp_path)


def test_a_secret_that_is_not_there_says_what_writes_it(tmp_path: Path) -> None:
    settings = parse({}, tmp_path)
    with pytest.raises(SettingsMissingError, match="nightbell init"):
        settings.events_key()
    settings.secrets_dir.mkdir()
    settings.edge.events_key_file.write_text("abc\n", "utf-8")
    assert settings.events_key() == "abc"


def test_home_is_the_option_then_the_environment_then_run() -> None:
    assert home_from("/a", {"NIGHTBELL_HOME": "/b"}) == Path("/a")
    assert home_from(None, {"NIGHTBELL_HOME": "/b"}) == Path("/b")
    assert home_from(None, {}) == Path.cwd() / "run"


def test_how_long_the_journal_is_kept_is_said_in_days() -> None:
    settings = parse({"journal": {"keep_days": 30, "register_log_days": 7}}, HOME)
    assert (settings.journal.keep_days, settings.journal.register_log_days) == (30, 7)
    for bad in (0, -1, 36501):
        with pytest.raises(MalformedSettingError, match=r"journal\.keep_days"):
            parse({"journal": {"keep_days": bad}}, HOME)
    with pytest.raises(UnknownSettingError, match=r"journal\.keep"):
        parse({"journal": {"keep": 1}}, HOME)


def test_a_table_holds_lists_and_tables_of_its_own() -> None:
    raw = tomllib.loads(
        """
        loud = true
        names = ["a", "b"]
        bells = [{tone = "c"}, {tone = "d", port = 2}]
        guests.alice = {tone = "e"}
        """
    )
    tower = read(Tower, raw, "tower", HOME)
    assert tower == Tower(
        True, ("a", "b"), (Bell("c"), Bell("d", 2)), {"alice": Bell("e")}, HOME / "secrets/tower.key"
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("loud = 1", r"tower\.loud must be true or false, not 1"),
        ("names = 'a'", r"tower\.names must be a list: write it in brackets"),
        ("names = [1]", r"tower\.names\[1\] must be a string"),
        ("bells = {tone = 'a'}", r"tower\.bells must be a list: write \[\[tower\.bells\]\]"),
        ("bells = [{tone = 'a'}, {}]", r"tower\.bells\[2\]\.tone is missing"),
        ("bells = [{tone = 'a', port = 0}]", r"tower\.bells\[1\]\.port must be a port"),
        ("bells = [{tone = 'mute'}]", r"tower\.bells\[1\]\.tone must be heard, not 'mute'"),
        ("guests = ['alice']", r"tower\.guests must be a table"),
        ("guests.'A b' = {tone = 'a'}", r"tower\.guests\.A b: a name is small letters"),
        ("guests.alice = {tune = 'a'}", r"unknown setting tower\.guests\.alice\.tune"),
    ],
)
def test_a_mistake_deep_in_a_table_is_refused_by_its_whole_name(text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read(Tower, tomllib.loads(text), "tower", HOME)


def test_several_pushers_have_a_table_each() -> None:
    raw = tomllib.loads(
        """
        [push.http.acme]
        url = "https://push.acme.example/nightbell"
        secret_file = "secrets/acme.key"
        [push.http.here]
        url = "http://127.0.0.1:9000/"
        secret_file = "/etc/here.key"
        """
    )
    pushers = parse(raw, HOME).push["http"]
    assert {name: pusher.secret_file for name, pusher in pushers.items()} == {
        "acme": HOME / "secrets/acme.key",
        "here": Path("/etc/here.key"),
    }
