"""Rows of text in aligned columns, and the same as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click


def show(rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str) -> None:
    """Print rows that share their keys: as a table under those names, or as a JSON array."""
    if as_json:
        click.echo(json.dumps([dict(row) for row in rows], indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo(empty)
        return
    names = list(rows[0])
    cells = [[name.replace("_", " ").upper() for name in names]] + [
        [_text(row[n]) for n in names] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in ("", None) else "–"
