"""A server on loopback that speaks the Hub's protocol, as far as danet needs it, and serves files.

It keeps repositories in memory, and can be told to fail.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["Failure", "Server"]


@dataclass
class Failure:
    """What goes wrong with a request, the next ``times`` that it comes."""

    status: int = 200
    times: int = 1
    cut: int | None = None  # the connection ends after so many bytes of the body
    hang: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """Serves ``files`` by path, and repositories of the Hub; used as a context."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.failures: dict[str, Failure] = {}
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, range
        self.counts: Counter[str] = Counter()
        self.ranges = True
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in the middle: that is what some tests are about."""

    def commit(self, repository: str) -> str:
        """The commit that a repository is at."""
        content = repr(sorted(self.repositories[repository].items())).encode()
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()

    def got(self, end: str, method: str = "GET") -> int:
        """How many requests there were for paths that end so."""
        return sum(how == method and path.endswith(end) for how, path, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, path, self.headers.get("Range")))
        failure = next((f for end, f in self.server.failures.items() if path.endswith(end)), None)
        if failure is not None and failure.times:
            failure.times -= 1
            if failure.hang:
                self.server.closing.wait(5)
                self.close_connection = True
                return
            if failure.status != 200:
                self._send(failure.status, b"{}", failure.headers)
                return
        else:
            failure = None
        routes: list[tuple[str, Callable[..., None]]] = [
            (r"/api/models/(\w[^/]*/[^/]+)(?:/revision/([^/]+))?", self._info),
            (r"/api/models/(\w[^/]*/[^/]+)/tree/([^/]+)", self._tree),
            (r"/api/models/(\w[^/]*/[^/]+)/preupload/([^/]+)", self._preupload),
            (r"/api/models/(\w[^/]*/[^/]+)/commit/([^/]+)", self._commit),
            (r"/(\w[^/]*/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
        ]
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            self.server.repositories.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}"})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path in self.server.files:
            self._file(self.server.files[path], {}, failure)
        else:
            for pattern, route in routes:
                if match := re.fullmatch(pattern, path):
                    if self._allowed(match[1], match[2]):
                        route(*match.groups(), body=body, failure=failure)
                    return
            self._send(404, b"")

    def _allowed(self, repository: str, revision: str | None) -> bool:
        known = self.server.repositories.get(repository)
        hidden = repository in self.server.private and "Authorization" not in self.headers
        if known is None or hidden:
            self._send(401 if hidden else 404, b"", {"X-Error-Code": "RepoNotFound"})
            return False
        if revision not in (None, "main", self.server.commit(repository)):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return False
        return True

    def _info(self, repository: str, revision: str | None, **_: Any) -> None:
        files = self.server.repositories[repository]
        self._json(
            {
                "_id": "0",
                "id": repository,
                "modelId": repository,
                "sha": self.server.commit(repository),
                "private": repository in self.server.private,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": name} for name in files],
            }
        )

    def _tree(self, repository: str, revision: str, **_: Any) -> None:
        self._json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}
                for name, content in self.server.repositories[repository].items()
            ]
        )

    def _preupload(self, repository: str, revision: str, body: bytes, **_: Any) -> None:
        names = [file["path"] for file in json.loads(body)["files"]]
        modes = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
        self._json({"files": modes})

    def _commit(self, repository: str, revision: str, body: bytes, **_: Any) -> None:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.server.repositories[repository][line["value"]["path"]] = content
        commit = self.server.commit(repository)
        self.server.counts[repository] += 1
        address = f"{self.server.address}/{repository}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": address, "hookOutput": ""})

    def _resolve(
        self, repository: str, revision: str, name: str, failure: Failure | None, **_: Any
    ) -> None:
        content = self.server.repositories[repository].get(name)
        headers = {"X-Repo-Commit": self.server.commit(repository)}
        if content is None:
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
            return
        if name.endswith(".safetensors"):
            headers["X-Linked-Size"] = str(len(content))
            headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        headers["ETag"] = f'"{_blob(content)}"'
        self._file(content, headers, failure)

    def _file(self, content: bytes, headers: dict[str, str], failure: Failure | None) -> None:
        status, start = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and self.server.ranges:
            start = int(wanted[1])
            if start >= len(content):
                self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            status = 206
            end = int(wanted[2]) if wanted[2] else len(content) - 1
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content = content[: end + 1]
        cut = failure.cut if failure is not None and self.command == "GET" else None
        self._send(status, content[start:], headers, cut)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


def _blob(content: bytes) -> str:
    start = f"blob {len(content)}\0".encode()
    return hashlib.sha1(start + content, usedforsecurity=False).hexdigest()
