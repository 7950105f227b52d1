"""The documentation keeps up with the code: what exists is described, what is linked exists, nothing is of one machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import unquote

import click
import pytest

from control import settings
from control.cli.main import main
from control.domain import phrases, registration_phrases
from control.domain.connection import STRATEGIES
from control.push.providers import PROVIDERS
from control.services.connection_changes import SETTABLE
from demo import cli as demo_cli
from kemi import registrar_state, wire

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PICTURES = sorted(ROOT.glob("docs/**/*.svg"))

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    .*$", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"^\| ([^|]*) \|", re.MULTILINE)
# A home or a work folder, a temporary one, a checkout of somebody's: all that is not there on the reader's machine.
_PRIVATE_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|tmp|Users|workspace|mnt|data)/[\w.-]+")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """A page without its code, in which brackets mean something else."""
    return _CODE.sub("", _INDENTED.sub("", _FENCE.sub("", text)))


def anchors(page: Path) -> set[str]:
    """The names GitHub gives to the headings of a page."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def relative_links(page: Path) -> list[str]:
    targets = _LINK.findall(prose(page.read_text(encoding="utf-8")))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


PRODUCT = dict(commands(main)) | {("demo",): demo_cli.demo, ("sandbox",): demo_cli.sandbox}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_relative_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in relative_links(page):
        path, _, anchor = unquote(target).partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target}: there is no {path}"
        assert linked.is_relative_to(ROOT), f"{target} leads out of the repository"
        if anchor:
            assert anchor in anchors(linked), f"{target}: {linked.name} has no such heading"


@pytest.mark.parametrize("page", [*PAGES, *PICTURES], ids=name_of)
def test_no_page_names_a_path_of_one_machine(page: Path) -> None:
    assert _PRIVATE_PATH.findall(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent != ROOT], ids=name_of)
def test_each_page_is_on_the_map(page: Path) -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / unquote(link).partition("#")[0]).resolve() for link in relative_links(index)}
    assert page in linked | {index}


@pytest.mark.parametrize("path", sorted(PRODUCT), ids=" ".join)
def test_each_command_is_in_its_reference_with_its_options(path: tuple[str, ...]) -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    assert f"nightbell {' '.join(path)}" in text
    section = text if len(path) == 1 else text[text.index(f"\n## {path[0]}") :]
    for parameter in PRODUCT[path].params:
        if isinstance(parameter, click.Option):
            assert any(name in section for name in parameter.opts), f"{parameter.opts} is not described"


def test_each_top_level_command_is_in_the_table_that_the_reference_begins_with() -> None:
    table = (REFERENCE / "command-line.md").read_text(encoding="utf-8").partition("\n## ")[0]
    named = set(re.findall(r"`([a-z-]+)`", " ".join(_CELL.findall(table))))
    assert named == {path[0] for path in PRODUCT}


def push_tables(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """The heading of a provider's table, and its dataclass; some are several tables of names to be chosen, and some have
    lists of tables in them.
    """
    if get_args(kind):
        yield f"{name}.NAME", get_args(kind)[1]
        return
    yield name, kind
    for field, each in get_type_hints(kind).items():
        if get_args(each) and is_dataclass(get_args(each)[0]):
            yield f"{name}.{field}", get_args(each)[0]


def test_each_setting_is_in_its_reference_under_its_table_with_its_default() -> None:
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    sections = dict(
        re.findall(r"^## `\[{1,2}([a-zA-Z.]+)\]{1,2}`[^\n]*\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    )
    known = {
        "edge": settings.EdgeSettings,
        "database": settings.DatabaseSettings,
        "rtpengine": settings.RtpengineSettings,
        "turn": settings.TurnSettings,
        "web": settings.WebSettings,
        "phone": settings.PhoneSettings,
        "journal": settings.JournalSettings,
        "wake": settings.WakeSettings,
        **{
            heading: kind
            for name, registered in PROVIDERS.items()
            for heading, kind in push_tables(f"push.{name}", registered.settings)
        },
    }
    assert set(sections) == set(known)
    for table, kind in known.items():
        rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", sections[table], re.MULTILINE))
        declared = {field.name: field.default for field in fields(kind)}
        assert set(rows) == set(declared), table
        for key, default in declared.items():
            if isinstance(default, bool):
                assert rows[key] == f"`{str(default).lower()}`", f"{table}.{key}"
            elif isinstance(default, int):
                assert rows[key] == f"`{default}`", f"{table}.{key}"
            elif isinstance(default, str | Path) and default:
                assert rows[key] == f'`"{default}"`', f"{table}.{key}"


def test_each_table_of_the_settings_is_one_that_the_reference_knows() -> None:
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    for field in fields(settings.Settings):
        if field.name not in ("home", "push"):
            assert f"## `[{field.name}]`" in text or f"## `[[{field.name}]]`" in text


def test_each_state_cause_and_strategy_of_a_registration_is_described() -> None:
    text = (REFERENCE / "registrations.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([a-z-]+)`", text))
    spoken_of = set(get_args(registrar_state.State)) - {"registering"}  # never told
    assert described >= spoken_of | {*registrar_state.WHY, registration_phrases.UNRESOLVABLE, *STRATEGIES}
    for why, words in registration_phrases._SHORT.items():
        assert re.search(rf"^\| `{why}` \| {re.escape(words)} \|", text, re.MULTILINE), why


def test_each_step_of_a_journal_is_described() -> None:
    text = (REFERENCE / "journal.md").read_text(encoding="utf-8")
    steps = text[text.index("## Steps") : text.index("## Outcomes")]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", steps, re.MULTILINE)) == set(phrases._PHRASES)


def test_each_event_and_document_is_described_with_its_fields() -> None:
    text = (REFERENCE / "events.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_0-9-]+)`", text)) | set(re.findall(r'"([a-z_0-9]+)"', text))
    for kind in wire._EVENTS.values():
        assert f"| `{kind.type}` |" in text
        assert {field.name for field in fields(kind)} <= named, kind.__name__
    for document in (
        wire.DeviceDoc,
        wire.LineDoc,
        wire.ConnectionDoc,
        wire.NumberDoc,
        wire.UpstreamDoc,
        wire.Errand,
    ):
        assert {field.name for field in fields(document)} <= named, document.__name__


def test_what_can_be_set_of_a_connection_is_described() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    section = text[text.index("### connection set") : text.index("### connection assign")]
    assert {key for key in SETTABLE if key != "password"} <= set(re.findall(r"`([a-z_]+)`", section))
