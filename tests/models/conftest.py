"""A web server on this machine that misbehaves on demand."""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(kw_only=True)
class Answer:
    """How one request is answered; by default as a good server does."""

    status: int | None = None
    content: bytes | None = None  # other bytes than the file's
    ranges: bool = True
    content_range: str | None = None  # in place of the true one
    content_length: int | None = None  # in place of the true one
    framing: str = "length"  # or "chunked", or "close": the end of the connection ends the file
    send: int | None = None  # bytes of the body to send before it breaks off
    reset: bool = False  # break off with a reset
    wait_s: float = 0.0  # before answering
    stall_s: float = 0.0  # before breaking off
    pause_s: float = 0.0  # between two kilobytes
    location: str | None = None


@dataclass
class FileServer:
    """Answers every request with `content`, after the planned answers are used up."""

    content: bytes
    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    always: Answer = field(default_factory=Answer)
    ranges_asked: list[str | None] = field(default_factory=list)  # the Range header of each request

    def plan(self, **how: Any) -> None:
        """Say how the next request without a plan is answered."""
        self.answers.append(Answer(**how))

    @property
    def n_requests(self) -> int:
        return len(self.ranges_asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        files: FileServer = self.server.files  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        files.ranges_asked.append(asked)
        answer = files.answers.pop(0) if files.answers else files.always
        time.sleep(answer.wait_s)
        self.close_connection = True
        content = files.content if answer.content is None else answer.content
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and answer.ranges else 0  # type: ignore[index]
        status = answer.status or (200 if not (asked and answer.ranges) else 206 if start < len(content) else 416)
        body = content[start:] if status in (200, 206) else b""
        self.send_response(status)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        if status == 206:
            true_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", answer.content_range or true_range)
        if answer.framing == "length":
            self.send_header("Content-Length", str(answer.content_length or len(body)))
        elif answer.framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._send(body if answer.send is None else body[: answer.send], answer)
        time.sleep(answer.stall_s)
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _send(self, body: bytes, answer: Answer) -> None:
        for start in range(0, len(body), 1024):
            piece = body[start : start + 1024]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece)
            self.wfile.flush()
            time.sleep(answer.pause_s)
        if answer.framing == "chunked" and answer.send is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of one file of 20,000 bytes without pattern, reached without any proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    content = b"".join(struct.pack(">I", (number * 2654435761) % 2**32) for number in range(5000))
    web = _Server(("127.0.0.1", 0), _Handler)
    files = FileServer(content, url=f"http://127.0.0.1:{web.server_port}/weights.pth")
    web.files = files  # type: ignore[attr-defined]
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield files
    web.shutdown()
    thread.join()
    web.server_close()
