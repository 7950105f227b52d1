"""How a table of ``nightbell.toml`` becomes a frozen dataclass; which tables there are is said elsewhere.

SettingsError
├── SettingsMissingError     there is no nightbell.toml (or a file it names)
├── UnknownSettingError      a key this version does not know
└── MalformedSettingError    a value of the wrong kind, or out of range
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

FILE_NAME = "nightbell.toml"


class SettingsError(Exception):
    """The settings cannot be used; the text names the file, the key, and what to write instead."""

    id = "settings"


class SettingsMissingError(SettingsError):
    """The settings file, or a file it names, does not exist or cannot be read."""

    id = "settings-missing"


class UnknownSettingError(SettingsError):
    """A key this version does not know: a typing error, or a file of another version."""

    id = "settings-unknown"


class MalformedSettingError(SettingsError):
    """A value of the wrong kind, or outside what is possible."""

    id = "settings-malformed"


_S = TypeVar("_S")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def read(kind: type[_S], raw: object, name: str, home: Path) -> _S:
    """Build ``kind`` from the table ``name``; relative paths are taken from ``home``. Raises SettingsError.

    Fields are ``int``, ``bool``, ``str``, ``Path`` (perhaps None), a ``tuple`` of strings, another such dataclass
    (one table more), a ``tuple`` of those (``[[name.key]]``) or a ``Mapping`` of those by a name of the owner's choice.
    A field that ends in ``port`` is one. ``kind`` may refuse what it is given with a ValueError that begins with the key.
    """
    given = table(raw, name)
    hints = get_type_hints(kind)
    declared = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    refuse_unknown({k: v for k, v in given.items() if k not in declared}, f"{name}.", tuple(declared))
    values: dict[str, Any] = {}
    for key, spec in declared.items():
        if key in given:
            values[key] = read_setting(hints[key], given[key], f"{name}.{key}", home)
        elif isinstance(spec.default, Path):
            values[key] = home / spec.default
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise MalformedSettingError(f"{name}.{key} is missing from {FILE_NAME}, and it has no default")
    try:
        return kind(**values)
    except ValueError as error:
        raise MalformedSettingError(f"{name}.{error}") from None


def table(raw: object, name: str) -> Mapping[str, Any]:
    """``raw`` if it is a table; raises MalformedSettingError."""
    if not isinstance(raw, dict):
        raise MalformedSettingError(f"{name} must be a table: write [{name}] and its keys below")
    return raw


def refuse_unknown(rest: Mapping[str, Any], prefix: str, known: tuple[str, ...]) -> None:
    """Raise UnknownSettingError for the first of the keys that are left."""
    for key in rest:
        raise UnknownSettingError(
            f"unknown setting {prefix}{key} in {FILE_NAME}; known here: {', '.join(known)}"
        )


def read_setting(kind: Any, raw: object, name: str, home: Path) -> Any:
    """The setting ``name``, of any of the kinds that ``read`` lists. Raises SettingsError."""
    origin = get_origin(kind)
    if origin is tuple:
        return _list(get_args(kind)[0], raw, name, home)
    if origin is Mapping:
        each = get_args(kind)[1]
        return {
            _name(key, name): read(each, one, f"{name}.{key}", home) for key, one in table(raw, name).items()
        }
    if is_dataclass(kind):
        return read(kind, raw, name, home)  # type: ignore[arg-type]
    if kind is bool:
        if not isinstance(raw, bool):
            raise MalformedSettingError(f"{name} must be true or false, not {raw!r}")
        return raw
    if kind is int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise MalformedSettingError(f"{name} must be a whole number, not {raw!r}")
        if name.endswith("port") and not 1 <= raw <= 65535:
            raise MalformedSettingError(f"{name} must be a port between 1 and 65535, not {raw}")
        return raw
    return _text(kind, raw, name, home)


def _name(key: str, name: str) -> str:
    if not _NAME.fullmatch(key):
        raise MalformedSettingError(f"{name}.{key}: a name is small letters, digits and -, up to 32")
    return key


def _list(kind: Any, raw: object, name: str, home: Path) -> tuple[object, ...]:
    if not isinstance(raw, list):
        how = f"write [[{name}]]" if is_dataclass(kind) else "write it in brackets"
        raise MalformedSettingError(f"{name} must be a list: {how}")
    return tuple(read_setting(kind, each, f"{name}[{number}]", home) for number, each in enumerate(raw, 1))


def _text(kind: Any, raw: object, name: str, home: Path) -> object:
    if not isinstance(raw, str):
        raise MalformedSettingError(f"{name} must be a string in quotes, not {raw!r}")
    if any(ord(c) < 32 for c in raw):
        raise MalformedSettingError(f"{name} holds a control character")
    if kind is str:
        return raw
    if raw:
        return home / Path(raw)
    if kind is Path:
        raise MalformedSettingError(f"{name} must name a file")
    return None
