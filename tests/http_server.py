"""A local server that gives small files with every fault a download can meet."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request: its path with the query, and its headers."""

    path: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("Range")


class Handler(BaseHTTPRequestHandler):
    """Leaves the answer to the route of the path."""

    protocol_version = "HTTP/1.1"
    server: "FaultyServer"

    def do_GET(self) -> None:
        self.server.asked.append(Asked(self.path, dict(self.headers)))
        self.close_connection = True
        self.server.routes[self.path.partition("?")[0]](self)

    def begin(self, status: int, headers: Mapping[str, Any]) -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()

    def send(self, content: bytes) -> None:
        self.server.sent += len(content)
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *arguments: Any) -> None:
        pass


Route = Callable[[Handler], None]


class FaultyServer(ThreadingHTTPServer):
    """``routes``: path -> route; ``asked``: requests so far; ``sent``: bytes of bodies; ``closing``: ends all waits."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *arguments: Any) -> None:
        """A client that leaves early is no fault of the server."""


@contextmanager
def running() -> Iterator[FaultyServer]:
    """A server that answers until the block ends."""
    server = FaultyServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def whole(
    content: bytes, ranges: bool = True, etag: str | None = '"1"', stop: int | None = None, **headers: Any
) -> Route:
    """The file as a good server gives it; ``stop``: close the connection after that many bytes of the body."""
    fixed = {name.replace("_", "-"): value for name, value in headers.items()}

    def route(request: Handler) -> None:
        first = _first_byte(request, etag) if ranges else 0
        validator = {"ETag": etag} if etag else {}
        if first >= len(content) > 0:
            return request.begin(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": 0})
        body, length = content[first:], {"Content-Length": len(content) - first}
        place = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        request.begin(206 if first else 200, {**length, **place, **validator, **fixed})
        request.send(body[:stop])
        return None

    return route


def _first_byte(request: Handler, etag: str | None) -> int:
    asked = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    return int(asked[len("bytes=") : -1]) if asked and condition in (None, etag) else 0


def answer(status: int, body: bytes = b"", **headers: Any) -> Route:
    """A fixed answer; header names with ``_`` for ``-``, None leaves a header out."""
    fixed = {"Content-Length": len(body)} | {name.replace("_", "-"): value for name, value in headers.items()}

    def route(request: Handler) -> None:
        request.begin(status, fixed)
        request.send(body)

    return route


def page(html: str, kind: str = "text/html; charset=utf-8") -> Route:
    """A web page."""
    return answer(200, html.encode(), Content_Type=kind)


def in_turn(*routes: Route) -> Route:
    """Another route for each request, the last for all that follow."""
    waiting = list(routes)
    return lambda request: (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)


def stall(content: bytes, after: int) -> Route:
    """The first bytes, then silence."""

    def route(request: Handler) -> None:
        request.begin(200, {"Content-Length": len(content), "ETag": '"1"'})
        request.send(content[:after])
        request.server.closing.wait(60)

    return route


def drip(content: bytes, piece: int, pause: float) -> Route:
    """The file, or the range asked for, in tiny pieces."""

    def route(request: Handler) -> None:
        first, last = _first_byte(request, '"1"'), len(content) - 1
        place = {"Content-Range": f"bytes {first}-{last}/{len(content)}"} if first else {}
        request.begin(206 if first else 200, {"Content-Length": len(content) - first, "ETag": '"1"', **place})
        for start in range(first, len(content), piece):
            request.send(content[start : start + piece])
            if request.server.closing.wait(pause):
                return

    return route


def chunked(content: bytes, ended: bool = True) -> Route:
    """The file without a length, in chunks; without its end if not ``ended``."""

    def route(request: Handler) -> None:
        request.begin(200, {"Transfer-Encoding": "chunked", "ETag": '"1"'})
        request.wfile.write(f"{len(content):x}\r\n".encode())
        request.send(content)
        request.wfile.write(b"\r\n0\r\n\r\n" if ended else b"")

    return route


def endless(request: Handler) -> None:
    """Bytes without a length and without an end."""
    request.begin(200, {"ETag": '"1"'})
    while not request.server.closing.wait(0.001):
        request.send(bytes(50_000))
