"""Another setting of the PBX for the length of a test, as its admin would make it: a line in pjsip.conf, and a reload."""

from __future__ import annotations

from collections.abc import Iterator
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
