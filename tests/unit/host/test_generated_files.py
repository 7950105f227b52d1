"""What is written for Kamailio: configuration, tables, certificate, secrets."""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from control.host import render, tables
from control.host.certificates import ensure_certificate
from control.host.errors import PrepareError, ProgramMissingError
from control.host.files import ensure_secret
from control.settings import Settings, parse

REPOSITORY = Path(__file__).parents[3]
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = parse({"edge": {"domain": "example.org", "sip_port": 15060}}, tmp_path)
    made.secrets_dir.mkdir()
    made.edge.events_key_file.write_text("events\n")
    made.edge.identity_key_file.write_text("00ff\n")
    return made


def test_every_name_that_kamailio_cfg_leaves_open_is_given(settings: Settings) -> None:
    text = render.kamailio_cfg(settings)
    used = set(re.findall(r"NB_[A-Z_]*[A-Z]", (REPOSITORY / "kamailio.cfg").read_text()))
    given = set(re.findall(r'substdef "!(NB_[A-Z_]+)!', text))
    assert used <= given
    assert "!NB_SIP_PORT!15060!" in text
    assert f'include_file "{REPOSITORY}/kamailio.cfg"' in text


def test_no_name_is_the_beginning_of_another(settings: Settings) -> None:
    # Kamailio replaces text: NB_WS would also replace the beginning of NB_WSS.
    names = re.findall(r'substdef "!(NB_[A-Z_]+)!', render.kamailio_cfg(settings))
    assert not [(a, b) for a in names for b in names if a != b and b.startswith(a)]


@pytest.mark.parametrize("name", ["a b", "a!b", 'a"b', "a&b", "a\\b"])
def test_a_home_that_does_not_fit_into_kamailio_cfg_is_refused(name: str) -> None:
    with pytest.raises(PrepareError, match="home folder"):
        render.kamailio_cfg(parse({}, Path("/srv") / name))


def test_kemi_json_has_what_the_scripts_read(settings: Settings) -> None:
    assert json.loads(render.kemi_json(settings)) == {
        "domain": "example.org",
        "realm": "example.org",
        "address": "127.0.0.1",
        "sip_port": 15060,
        "tls_port": 5061,
        "park": "127.0.0.1:5090",
        "events": "127.0.0.1:5091",
        "events_key": "events",
        "identity_key": "00ff",
        "projection": str(settings.projection_db),
        "media": True,
        "webrtc": True,
        "origins": "",
        "turn_lowest": 0,
        "turn_highest": 0,
        "push": "",
        "vapid": "",
    }


@pytest.mark.parametrize(("address", "loopback"), [("192.0.2.10", False), ("127.0.9.1", True)])
def test_the_turn_server_leads_to_the_media_relay_alone(tmp_path: Path, address: str, loopback: bool) -> None:
    made = parse({"edge": {"address": address}, "turn": {"relay_min": 21000, "relay_max": 21999}}, tmp_path)
    assert made.turn is not None
    ensure_secret(made.turn.secret_file)
    lines = render.turnserver_conf(made, made.turn).splitlines()
    assert ("allow-loopback-peers" in lines) == loopback
    assert [line for line in lines if "-peer-ip=" in line] == [
        f"allowed-peer-ip={address}",
        "denied-peer-ip=0.0.0.0-255.255.255.255",
        "denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ]
    assert f"static-auth-secret={made.turn_secret()}" in lines
    assert {"min-port=21000", "max-port=21999", "use-auth-secret", "no-cli"} <= set(lines)
    assert (made.turn.secret_file.stat().st_mode & 0o777) == 0o600


@pytest.fixture
def schema_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "standard-create.sql").write_text(
        "CREATE TABLE version (table_name VARCHAR(32) UNIQUE, table_version INTEGER);\n"
    )
    (folder / "htable-create.sql").write_text(
        "CREATE TABLE htable (id INTEGER PRIMARY KEY NOT NULL, key_name VARCHAR(64));\n"
        "INSERT INTO version (table_name, table_version) values ('htable','2');\n"
    )
    (folder / "usrloc-create.sql").write_text("CREATE TABLE location (id INTEGER);\n")
    return folder


def test_each_projected_table_is_one_that_htable_accepts(tmp_path: Path, schema_dir: Path) -> None:
    path = tmp_path / "state" / "projection.db"
    tables.ensure_projection(path, schema_dir)
    with closing(sqlite3.connect(path)) as database:
        versions = dict(database.execute("SELECT table_name, table_version FROM version"))
        for name in tables.PROJECTED:
            database.execute(f"INSERT INTO {name} (key_name) VALUES ('a')")  # noqa: S608
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(f"INSERT INTO {name} (key_name) VALUES ('a')")  # noqa: S608
    assert versions == dict.fromkeys(tables.PROJECTED, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_tables_that_are_there_keep_their_rows(tmp_path: Path, schema_dir: Path) -> None:
    path = tmp_path / "location.db"
    tables.ensure_location(path, schema_dir)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO location VALUES (7)")
    tables.ensure_location(path, schema_dir)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT id FROM location").fetchall() == [(7,)]


def test_without_kamailios_schema_the_error_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match="kamailio-sqlite-modules"):
        tables.ensure_location(tmp_path / "location.db", tmp_path)


def test_the_certificate_is_for_the_domain_and_the_address_and_is_signed_by_its_authority(
    tmp_path: Path,
) -> None:
    ensure_certificate(tmp_path, "example.org", "127.0.0.1", NOW)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.org"]
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_s11_the_certificate_is_kept_until_it_is_about_to_end(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, "example.org", "127.0.0.1", NOW)
    first = (tmp_path / "cert.pem").read_bytes()
    ensure_certificate(tmp_path, "example.org", "127.0.0.1", NOW + datetime.timedelta(days=700))
    assert (tmp_path / "cert.pem").read_bytes() == first
    ensure_certificate(tmp_path, "example.org", "127.0.0.1", NOW + datetime.timedelta(days=800))
    assert (tmp_path / "cert.pem").read_bytes() != first


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "events.key"
    ensure_secret(path)
    first = path.read_text()
    ensure_secret(path)
    assert path.read_text() == first
    assert len(first.strip()) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
