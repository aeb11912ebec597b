"""A web server on this machine that plays the sources: good, slow, broken, moved or hostile."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """A file of the site, and how its requests are answered: the last way goes on for all further ones.

    Ways: `good`; `cut:N`, the line breaks after N bytes; `hang`; `redirect:ADDRESS`; a status such as `503`;
    `html`, a form in place of the file; `odd range`, another part than asked for.
    """

    content: bytes
    ways: list[str] = field(default_factory=lambda: ["good"])
    has_ranges: bool = True


class Site:
    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.address = ""

    def add(self, name: str, content: bytes, *ways: str, **options: object) -> str:
        self.pages[f"/{name}"] = Page(content, list(ways) or ["good"], **options)  # type: ignore[arg-type]
        return f"{self.address}/{name}"

    def n_asked(self, name: str) -> int:
        return sum(path == f"/{name}" for path, _ in self.asked)

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.site.asked.append((path, dict(self.headers)))
        page = self.site.pages.get(path)
        if page is None:
            return self._answer(404, b"not here", {})
        way, _, detail = (page.ways.pop(0) if len(page.ways) > 1 else page.ways[0]).partition(":")
        if way.isdigit():
            self._answer(int(way), b"trouble", {"Retry-After": detail} if detail else {})
        elif way == "redirect":
            self._answer(302, b"", {"Location": detail})
        elif way == "html":
            self._answer(200, b"<html>Confirm the download</html>", {"Content-Type": "text/html; charset=utf-8"})
        elif way == "hang":
            time.sleep(30)
            self.close_connection = True
        else:
            self._send(page, way, detail)

    def _send(self, page: Page, way: str, detail: str) -> None:
        content, headers, status = page.content, {}, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and page.has_ranges:
            start = int(asked[1])
            if start >= len(content):
                return self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            shown = start + 1 if way == "odd range" else start
            headers["Content-Range"] = f"bytes {shown}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        headers["Content-Length"] = str(len(content))
        self.close_connection |= way == "cut"
        self._answer(status, content[: int(detail)] if way == "cut" else content, headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def serve() -> Iterator[Site]:
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    server.daemon_threads = True
    # A reader that breaks off is part of the play.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.block_on_close = False
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
