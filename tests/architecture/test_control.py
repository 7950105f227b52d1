"""The control plane's inner shape, where import-linter cannot see it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from control.push.providers import PROVIDERS
from tests.architecture.source import ROOT, files, imports, tree

DOMAIN = [pytest.param(file, id=file.name) for file in files("control/domain")]
PRODUCT = [*files("kemi"), *files("control"), *files("demo")]


def foreign(text: str) -> set[str]:
    return {
        name
        for name in imports(text)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("control.domain")
    }


@pytest.mark.parametrize("file", DOMAIN)
def test_the_domain_is_the_standard_library_and_itself(file: Path) -> None:
    assert foreign(file.read_text(encoding="utf-8")) == set()


def test_a_foreign_import_in_the_domain_would_be_found() -> None:
    assert foreign("from sqlalchemy.orm import Session")
    assert foreign("import control.store.models")
    assert not foreign("from dataclasses import dataclass\nfrom control.domain.errors import X")


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "helper", "common", "manager", "misc"])
def test_a_file_is_named_by_its_role(name: str) -> None:
    assert [str(file.relative_to(ROOT)) for file in PRODUCT if name in (file.stem, file.parent.name)] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in PRODUCT
        if file.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(tree(file.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_each_folder_of_a_push_provider_is_registered_and_kept_apart() -> None:
    folders = {init.parent.name for init in (ROOT / "control/push").glob("*/__init__.py")}
    assert folders == set(PROVIDERS)
    contract = (ROOT / ".importlinter").read_text(encoding="utf-8").partition("providers-apart")[2]
    assert folders <= set(re.findall(r"^    control\.push\.(\w+)$", contract, re.MULTILINE))
