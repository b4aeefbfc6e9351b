"""A server on this machine that plays Hugging Face's hub, and a second one that holds its large files."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository, ``lab/net``."""

    files: dict[str, bytes] = field(default_factory=dict)
    small: frozenset[str] = frozenset({"config.json", "preprocessor_config.json", "model.safetensors.index.json"})
    token: str = ""  # that a visitor has to have
    answer: Any = None  # in place of the list of files
    status: int | None = None  # in place of any answer
    cut_after: int | None = None  # bytes of the first large file that are sent before the connection ends
    url: str = ""
    store: str = ""
    requests: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    """Server, path, token and range of each request."""

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            item = {"rfilename": name, "size": len(content), "blobId": blob(content)}
            if name not in self.small:
                item["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(item)
        return {"id": "lab/net", "sha": COMMIT, "siblings": siblings}

    def paths(self, server: str = "hub") -> list[str]:
        return [path for which, path, *_ in self.requests if which == server]


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        hub, which = self.server.hub, self.server.which
        asked = self.headers.get("Range")
        hub.requests.append((which, self.path, self.headers.get("Authorization"), asked))
        self.close_connection = True
        if which == "store":
            content = hub.files[self.path.rpartition("/")[2]]
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
            cut, hub.cut_after = hub.cut_after, None
            self._send(206 if asked else 200, content[start:], total=len(content), start=start, cut=cut)
        elif hub.status is not None:
            self._send(hub.status, b"")
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._send(401 if self.headers.get("Authorization") is None else 403, b"")
        elif self.path.startswith("/api/models/lab/net/revision/"):
            body = json.dumps(hub.listing()).encode() if hub.answer is None else hub.answer
            self._send(200, body)
        elif self.path.startswith(f"/lab/net/resolve/{COMMIT}/"):
            name = self.path.rpartition("/")[2]
            if name in hub.small:
                self._send(302, b"", location=f"/moved/{name}")
            else:
                self._send(302, b"", location=f"{hub.store}/{name}")
        elif self.path.startswith("/moved/"):
            self._send(200, hub.files[self.path.rpartition("/")[2]])
        else:
            self._send(404, b"")

    def _send(
        self,
        status: int,
        body: bytes,
        *,
        total: int = 0,
        start: int = 0,
        cut: int | None = None,
        location: str | None = None,
    ) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub that HF_ENDPOINT names, reached without any proxy and without a token."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    hub = Hub()
    servers = []
    for which in ("hub", "store"):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.hub, server.which = hub, which  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
    hub.url, hub.store = (f"http://127.0.0.1:{server.server_port}" for server, _ in servers)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
