"""kemi.json: what is wrong with it is said by name, at the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kemi import settings
from kemi.settings import SettingsError
from tests.fakes.edge import EVENTS_KEY, IDENTITY_KEY, kemi_json


def written(directory: Path, contents: Any) -> str:
    file = directory / "kemi.json"
    file.write_text(contents if isinstance(contents, str) else json.dumps(contents), encoding="utf-8")
    return str(file)


def test_a_complete_file_is_read(tmp_path: Path) -> None:
    loaded = settings.load(written(tmp_path, kemi_json("127.0.0.1:5098")))
    assert (loaded.park_port, loaded.events_address, loaded.media) == (5099, ("127.0.0.1", 5098), True)


def test_the_file_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTBELL_KEMI", written(tmp_path, kemi_json("127.0.0.1:5098", domain="other.test")))
    assert settings.load().domain == "other.test"


def test_without_the_environment_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTBELL_KEMI", raising=False)
    with pytest.raises(SettingsError, match="NIGHTBELL_KEMI"):
        settings.load()


@pytest.mark.parametrize("key", sorted(set(kemi_json("")) - {"media", "push", "vapid"}))
def test_a_missing_setting_is_named(tmp_path: Path, key: str) -> None:
    contents = kemi_json("127.0.0.1:5098")
    del contents[key]
    with pytest.raises(SettingsError, match=f"'{key}'"):
        settings.load(written(tmp_path, contents))


@pytest.mark.parametrize("key", sorted(kemi_json("")))
@pytest.mark.parametrize("value", [None, [], {}, 1.5])
def test_a_setting_of_a_wrong_kind_is_named(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=key):
        settings.load(written(tmp_path, kemi_json("127.0.0.1:5098") | {key: value}))


def test_true_is_no_port(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sip_port must be int"):
        settings.load(written(tmp_path, kemi_json("127.0.0.1:5098", sip_port=True)))


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'domian'.*known are"):
        settings.load(written(tmp_path, kemi_json("127.0.0.1:5098", domian="x")))


@pytest.mark.parametrize("key", ["xyz", "0", "0g"])
def test_an_identity_key_that_is_not_hexadecimal_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="identity_key"):
        settings.load(written(tmp_path, kemi_json("127.0.0.1:5098", identity_key=key)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("identity_key", ""),
        ("identity_key", "00" * 15),
        ("identity_key", "00" * 65),
        ("park", "127.0.0.1"),
        ("park", ":5090"),
        ("park", "x:y"),
        ("park", "127.0.0.1:0"),
        ("events", "127.0.0.1"),
        ("events", "127.0.0.1:65536"),
        ("events_key", ""),
        ("events_key", "two words"),
        ("sip_port", 0),
        ("tls_port", 65536),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=key):
        settings.load(written(tmp_path, kemi_json("127.0.0.1:5098") | {key: value}))


def test_a_file_that_holds_no_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"kemi\.json.*object"):
        settings.load(written(tmp_path, []))


@pytest.mark.parametrize("contents", ["", "{", "\ufeff{}"])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, contents: str) -> None:
    with pytest.raises(SettingsError, match=r"kemi\.json"):
        settings.load(written(tmp_path, contents))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.json"):
        settings.load(str(tmp_path / "nowhere.json"))


def test_the_keys_do_not_show(tmp_path: Path) -> None:
    shown = repr(settings.load(written(tmp_path, kemi_json("127.0.0.1:5098"))))
    assert EVENTS_KEY not in shown
    assert IDENTITY_KEY not in shown
