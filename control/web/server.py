"""Runs the application under gunicorn, in this process and without a configuration file."""

from __future__ import annotations

from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from control.settings import Settings
from control.web.app import create_app

THREADS = 4


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        web = self._settings.web
        host = f"[{web.address}]" if ":" in web.address else web.address
        options: dict[str, Any] = {
            "bind": f"{host}:{web.port}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": THREADS,
            "proc_name": "nightbell-web",
            "control_socket_disable": True,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        # In the worker, after the fork: database connections are not shared with the master.
        return create_app(self._settings)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    _Server(settings).run()
