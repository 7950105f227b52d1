"""Which media relays there are, and which of them get no new calls."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from control.host import relays, rtpengine
from control.host.errors import ProgramMissingError
from control.host.relays import Relay, UnknownRelayError
from control.settings import RtpengineSettings, Settings, parse

NOWHERE = {"control": "127.0.12.9", "rtp_min": 30000, "rtp_max": 30999}


def schema(folder: Path) -> Path:
    """As much as matters here of what kamailio-sqlite-modules brings."""
    (folder / "standard-create.sql").write_text(
        "CREATE TABLE version (table_name VARCHAR(32) UNIQUE, table_version INTEGER);\n"
    )
    (folder / "rtpengine-create.sql").write_text(
        "CREATE TABLE rtpengine (id INTEGER PRIMARY KEY NOT NULL, setid INTEGER DEFAULT 0, url VARCHAR(64),"
        " weight INTEGER DEFAULT 1, disabled INTEGER DEFAULT 0, CONSTRAINT nodes UNIQUE (setid, url));\n"
    )
    return folder


def settings(home: Path, *each: dict[str, object]) -> Settings:
    made = parse({"rtpengine": [NOWHERE | one for one in each]}, home)
    relays.write(made, schema(home))
    return made


def rows(made: Settings) -> list[tuple[str, int, int]]:
    with closing(sqlite3.connect(made.media_db)) as database:
        return database.execute("SELECT url, weight, disabled FROM rtpengine ORDER BY url").fetchall()


EAST = {"name": "east", "ng_port": 2223, "here": False}
WEST = {"name": "west", "ng_port": 2224, "rtp_min": 31000, "rtp_max": 31999, "weight": 3, "here": False}


def test_what_is_drained_stays_so_when_the_settings_are_written_again(tmp_path: Path) -> None:
    made = settings(tmp_path, EAST, WEST)
    assert not relays.drain(made, "west")  # no Kamailio is there to be told
    again = settings(tmp_path, EAST, WEST | {"weight": 4})
    assert rows(again) == [("udp:127.0.12.9:2223", 1, 0), ("udp:127.0.12.9:2224", 4, 1)]
    relays.resume(again, "west")
    assert [row[2] for row in rows(again)] == [0, 0]


def test_a_relay_that_is_in_the_settings_no_more_is_forgotten(tmp_path: Path) -> None:
    settings(tmp_path, EAST, WEST)
    assert rows(settings(tmp_path, EAST)) == [("udp:127.0.12.9:2223", 1, 0)]


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownRelayError, match=r"no rtpengine 'north' in nightbell\.toml; there are: east, west"
    ):
        relays.drain(settings(tmp_path, EAST, WEST), "north")


def test_one_that_does_not_answer_is_down_and_says_why(tmp_path: Path) -> None:
    (east,) = relays.overview(settings(tmp_path, EAST))
    assert (east.state, east.calls) == ("down", None)
    assert "127.0.12.9:2223" in east.why


@pytest.mark.parametrize(
    ("drained", "calls", "state"),
    [
        (False, 0, "ready"),
        (False, 9, "ready"),
        (True, 9, "draining"),
        (True, 0, "drained"),
        (True, None, "down"),
    ],
)
def test_its_state_in_a_word(drained: bool, calls: int | None, state: str) -> None:
    assert Relay("east", 1, drained, calls).state == state


@pytest.mark.parametrize(
    ("text", "version"),
    [("Version: 10.5.3.5-1+deb12u1", "10.5.3.5-1+deb12u1"), ("Version: 12.5.1.31-1", "12.5.1.31-1")],
)
def test_the_program_says_its_version(tmp_path: Path, text: str, version: str) -> None:
    assert rtpengine.version(fake(tmp_path, text)) == version


def test_a_program_that_does_not_say_its_version_is_no_rtpengine(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match="it says 'Usage: something"):
        rtpengine.version(fake(tmp_path, "Usage: something"))


def fake(folder: Path, said: str) -> RtpengineSettings:
    """A tree whose rtpengine is a script, and whose loader runs scripts."""
    libraries = folder / "root/usr/lib/x86_64-linux-gnu"
    (folder / "root/usr/bin").mkdir(parents=True)
    libraries.mkdir(parents=True)
    (libraries / "libc.so.6").touch()
    loader = libraries / "ld-linux-x86-64.so.2"
    loader.write_text('#!/bin/sh\nshift 2\nexec sh "$@"\n')
    loader.chmod(0o755)
    (folder / "root/usr/bin/rtpengine").write_text(f"echo '{said}' >&2\n")
    return RtpengineSettings(tree=folder)
