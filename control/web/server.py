"""Runs the application under gunicorn, in this process and without a configuration file."""

from __future__ import annotations

from typing import Any

from a2wsgi import WSGIMiddleware
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from control.settings import Settings
from control.web import live
from control.web.app import create_app
from control.web.live import Receive, Scope, Send

THREADS = 4
GOODBYE_S = 1  # how long those who watch a live page may keep the server from ending


class Application:
    """The whole web as an ASGI application: live pages on the event loop, all else as Flask has it, in a few threads."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self._live = app.extensions[live.EXTENSION]
        self._rest: Any = WSGIMiddleware(app.wsgi_app, workers=THREADS)  # type: ignore[arg-type]  # it types less than WSGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await live.lifespan(receive, send)
        elif scope["path"].startswith(f"{live.PREFIX}/"):
            await self._live(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        web = self._settings.web
        host = f"[{web.address}]" if ":" in web.address else web.address
        options: dict[str, Any] = {
            "bind": f"{host}:{web.port}",
            "worker_class": "asgi",
            "workers": 1,
            "graceful_timeout": GOODBYE_S,
            "proc_name": "nightbell-web",
            "control_socket_disable": True,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        # In the worker, after the fork: database connections are not shared with the master.
        return Application(self._settings)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    _Server(settings).run()
