"""Netron for one model: its own web page, served on loopback, behind a token.

Netron's own server answers anybody on the machine and serves every file beside the model, so only its
static pages are used here.
"""

from __future__ import annotations

import getpass
import http.server
import importlib.util
import mimetypes
import re
import secrets
import socket
import threading
import urllib.parse
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from friction_tui.vocabulary.protocol import NetronStarted


class NetronServer:
    """Serves the newest model given to it. The first `serve` starts the server, later ones swap the model."""

    def __init__(self) -> None:
        self._server: http.server.ThreadingHTTPServer | None = None
        self._token = secrets.token_urlsafe(24)
        self.model: tuple[str, bytes] = ("", b"")

    def serve(self, model: tuple[str, bytes]) -> NetronStarted:
        """Serve (file name, bytes); returns where. Raises ModuleNotFoundError without netron."""
        self.model = model
        if self._server is None:
            spec = importlib.util.find_spec("netron")
            if spec is None or not spec.submodule_search_locations:
                raise ModuleNotFoundError("netron is not installed: pip install netron")
            pages = Path(next(iter(spec.submodule_search_locations)))
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, pages, self._token))
            threading.Thread(target=self._server.serve_forever, name="netron", daemon=True).start()
        port = self._server.server_port
        host = socket.gethostname()
        return NetronStarted(
            url=f"http://127.0.0.1:{port}/?token={self._token}",
            forward=f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{host}",
        )


def _handler(server: NetronServer, pages: Path, token: str) -> type[http.server.BaseHTTPRequestHandler]:
    name = f"friction_tui_{secrets.token_hex(4)}"  # a browser sends cookies to every port of a host

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            given = urllib.parse.parse_qs(parts.query).get("token", [""])[0]
            if secrets.compare_digest(given.encode(), token.encode()):
                self._redirect_with_cookie()
            elif not self._known():
                self._answer(403, "text/plain", b"Open the whole address that friction-tui shows: it carries a token.")
            elif parts.path.startswith("/data/"):
                self._answer(200, "application/octet-stream", server.model[1])
            else:
                self._page(parts.path)

        def _known(self) -> bool:
            try:
                cookie = SimpleCookie(self.headers.get("Cookie", "")).get(name)
            except CookieError:
                return False
            return cookie is not None and secrets.compare_digest(cookie.value.encode(), token.encode())

        def _redirect_with_cookie(self) -> None:
            self.send_response(302)
            self.send_header("Location", "/")
            self.send_header("Set-Cookie", f"{name}={token}; HttpOnly; SameSite=Strict; Path=/")
            self.end_headers()

        def _page(self, path: str) -> None:
            file = _page_file(pages, path)
            if file is None:
                self._answer(404, "text/plain", b"no such page")
                return
            content = file.read_bytes()
            if file.name == "index.html":
                content = _with_model(content.decode(), server.model[0]).encode()
            self._answer(200, mimetypes.guess_type(file.name)[0] or "application/octet-stream", content)

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: stderr is the worker's last words."""

    return Handler


def _page_file(pages: Path, path: str) -> Path | None:
    """The file of a page below `pages`, None where there is none. Python is not a page."""
    try:
        file = (pages / (path.lstrip("/") or "index.html")).resolve()
        inside = file.is_relative_to(pages.resolve()) and file.is_file()
    except (OSError, ValueError):  # a name too long, a NUL in it
        return None
    return file if inside and file.suffix != ".py" else None


def _with_model(page: str, name: str) -> str:
    """Netron's index page told, as its own server tells it, which file to fetch."""
    quoted = urllib.parse.quote(name)
    meta = (
        f'<meta name="type" content="Python">\n<meta name="version" content="0.0.0">\n'
        f'<meta name="file" content="/data/{quoted}">\n<meta name="name" content="{quoted}">\n'
        f'<meta name="identifier" content="{quoted}">'
    )
    return re.sub(r'<meta name="version" content=".*">', lambda _: meta, page)
