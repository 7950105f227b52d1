"""Another setting of the PBX for the length of a test, as its admin would make it: in pjsip.conf, or in the dial plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from demo.pbx import TestPbx


@contextmanager
def pbx_set(pbx: TestPbx, extension: str, section: str, **options: str | int) -> Iterator[None]:
    """Set ``options`` in an extension's section of that type (endpoint, auth, aor) of pjsip.conf."""
    path = pbx.home / "etc" / "pjsip.conf"
    before = path.read_text(encoding="utf-8")
    lines = [f"{name}={value}" for name, value in options.items()]
    path.write_text("\n".join([before, f"[{extension}](+type={section})", *lines, ""]), encoding="utf-8")
    try:
        pbx.cli("module reload res_pjsip.so")
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        pbx.cli("module reload res_pjsip.so")


@contextmanager
def pbx_numbers(pbx: TestPbx, plan: Mapping[str, Sequence[str]], *modules: str) -> Iterator[None]:
    """Numbers that any extension can dial, each with the steps of its dial plan, and the modules that these need."""
    for module in modules:
        pbx.cli(f"module load {module}.so")
    for number, steps in plan.items():
        for priority, step in enumerate(steps, 1):
            pbx.cli(f"dialplan add extension {number},{priority},{step} into internal")
    try:
        yield
    finally:
        for number in plan:
            pbx.cli(f"dialplan remove extension {number}@internal")
