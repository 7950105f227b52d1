"""Reads the project's source: what a file imports, which names it uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files(package: str) -> list[Path]:
    """All Python files of a package."""
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, package
    return found


def tree(text: str) -> ast.Module:
    return ast.parse(text)


def imports(text: str) -> Iterator[str]:
    """Every module that the source imports, anywhere in it, with its full dotted name."""
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(text: str) -> Iterator[str]:
    """Every name that the source calls, dotted as it is written."""
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def strings(text: str) -> Iterator[str]:
    """Every string in the source but its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    module = tree(text)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
