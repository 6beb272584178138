"""Netron is served on loopback to whoever has the token, and to nobody else."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from friction_tui.worker.netron_server import NetronServer


def get(url: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    assert parts.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 0, timeout=10)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def test_the_model_needs_the_token() -> None:
    started = NetronServer().serve(("a model.onnx", b"the bytes"))
    assert get(started.url, "/")[0] == 403
    assert get(started.url, "/data/a%20model.onnx")[0] == 403
    assert get(started.url, "/?token=wrong")[0] == 403
    assert get(started.url, "/?token=%C3%A9")[0] == 403
    assert get(started.url, "/", {"Cookie": "expires=1; \u00e9=2"})[0] == 403


def test_the_token_becomes_a_cookie_and_opens_the_page() -> None:
    server = NetronServer()
    started = server.serve(("a model.onnx", b"the bytes"))
    parts = urlsplit(started.url)
    status, headers, _ = get(started.url, f"{parts.path}?{parts.query}")
    assert status == 302
    assert "HttpOnly" in headers["Set-Cookie"]
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    status, _, page = get(started.url, "/", cookie)
    assert status == 200
    assert b'content="/data/a%20model.onnx"' in page
    assert get(started.url, "/data/a%20model.onnx", cookie)[2] == b"the bytes"
    assert get(started.url, "/../server.py", cookie)[0] == 404
    assert get(started.url, "/server.py", cookie)[0] == 404
    assert get(started.url, f"/{'a' * 5000}", cookie)[0] == 404
    assert str(parts.port) in started.forward


def test_a_second_model_takes_the_place_of_the_first() -> None:
    server = NetronServer()
    first = server.serve(("a.onnx", b"1"))
    assert server.serve(("b.onnx", b"2")).url == first.url
    assert server.model == ("b.onnx", b"2")


def test_two_servers_in_one_browser_keep_their_own_cookies() -> None:
    started = [NetronServer().serve((f"{name}.onnx", b"")) for name in "ab"]
    given = [get(one.url, f"/?{urlsplit(one.url).query}")[1]["Set-Cookie"].split(";")[0] for one in started]
    assert given[0].split("=")[0] != given[1].split("=")[0]
    assert [get(one.url, "/", {"Cookie": "; ".join(given)})[0] for one in started] == [200, 200]
