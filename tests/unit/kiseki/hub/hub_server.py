"""A small Hub on this machine: the endpoints that huggingface_hub calls for a commit, over real HTTP, with a store.

What each endpoint takes and answers is what `huggingface_hub` 2.4 sends and reads (`hf_api.py`, `_commit_api.py`,
`lfs.py`, `utils/_http.py`): model info, resolve, repos/create, validate-yaml, preupload, the LFS batch with basic
transfer, and commit as NDJSON.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

OWNER, READER = "hf_owneroftheorganisation", "hf_readerofpublicthings"
"""Tokens: one may write into `org`, the other into nothing of it."""


@dataclass
class StoredRepository:
    """One repository: its commits, each a whole tree, and its pull requests."""

    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b"*.png filter=lfs\n"}])
    messages: list[str] = field(default_factory=lambda: ["initial commit"])
    pull_requests: list[dict[str, bytes]] = field(default_factory=list)
    lfs: set[str] = field(default_factory=set)

    @property
    def head(self) -> dict[str, bytes]:
        return self.commits[-1]

    @property
    def sha(self) -> str:
        return hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()

    def put(self, path: str, content: bytes) -> None:
        """A commit that somebody makes in the browser."""
        self.commits.append({**self.head, path: content})
        self.messages.append(f"Update {path}")


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    token: str | None
    body: bytes


class HubServer:
    """The store, the settings of a test, and every call that came.

    Attributes:
        lfs_over: binary files longer than this are answered `lfs`, others `regular`.
        broken: (method, pattern of the path) -> status to answer instead.
        before: called with each request before it is answered.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, StoredRepository] = {}
        self.objects: dict[str, bytes] = {}
        self.calls: list[Call] = []
        self.lfs_over = 10 * 1024 * 1024
        self.broken: dict[tuple[str, str], int] = {}
        self.before: Any = lambda call: None
        self.endpoint = ""
        self.lock = threading.Lock()

    def made(self, repo_id: str, *, private: bool = True, **files: str) -> StoredRepository:
        """A repository that is there already; `README__md` as keyword stands for `README.md`."""
        stored = self.repositories[repo_id] = StoredRepository(private)
        for name, text in files.items():
            stored.put(name.replace("__", "."), text.encode())
        return stored

    def paths(self, method: str) -> list[str]:
        return [call.path for call in self.calls if call.method == method]

    def answer(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        with self.lock:
            self.calls.append(call)
            self.before(call)
            for (method, pattern), status in self.broken.items():
                if method == call.method and re.search(pattern, call.path):
                    return _refused(status, "as the test wants it")
            if call.token not in (None, OWNER, READER):
                return _refused(401, "Invalid credentials in Authorization header")
            for method, pattern, handle in self._routes():
                found = re.fullmatch(pattern, call.path)
                if method == call.method and found:
                    return handle(call, *map(unquote, found.groups()))
            return _refused(404, f"no such endpoint: {call.method} {call.path}")

    def _routes(self) -> list[tuple[str, str, Any]]:
        repo = r"([^/]+/[^/]+?)"
        return [
            ("GET", rf"/api/models/{repo}(?:/revision/[^/]+)?", self._info),
            ("GET", rf"/{repo}/resolve/([^/]+)/(.+)", self._resolve),
            ("POST", r"/api/repos/create", self._create),
            ("POST", r"/api/validate-yaml", self._validate),
            ("POST", rf"/api/models/{repo}/preupload/([^/]+)", self._preupload),
            ("POST", rf"/{repo}\.git/info/lfs/objects/batch", self._batch),
            ("PUT", r"/lfs/([0-9a-f]{64})", self._put_object),
            ("POST", r"/lfs-verify", self._verify),
            ("POST", rf"/api/models/{repo}/commit/([^/]+)", self._commit),
            ("GET", r"/api/agent-harnesses", lambda call: _json({"standardEnvVars": [], "harnesses": {}})),
        ]

    def _visible(self, call: Call, repo_id: str) -> StoredRepository | None:
        stored = self.repositories.get(repo_id)
        return stored if stored and (call.token == OWNER or not stored.private) else None

    def _missing(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        return _refused(404 if call.token else 401, "Repository not found", code="RepoNotFound")

    def _info(self, call: Call, repo_id: str) -> tuple[int, dict[str, str], bytes]:
        stored = self._visible(call, repo_id)
        if stored is None:
            return self._missing(call)
        siblings = [{"rfilename": path} for path in stored.head]
        return _json({"id": repo_id, "sha": stored.sha, "private": stored.private, "siblings": siblings, "tags": []})

    def _resolve(self, call: Call, repo_id: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        stored = self._visible(call, repo_id)
        if stored is None:
            return self._missing(call)
        if revision not in ("main", stored.sha):
            return _refused(404, "Invalid rev id", code="RevisionNotFound")
        if path not in stored.head:
            return _refused(404, "Entry not found", code="EntryNotFound")
        return 200, {"Content-Type": "text/plain"}, stored.head[path]

    def _create(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        wanted = json.loads(call.body)
        repo_id = f"{wanted['organization']}/{wanted['name']}"
        if call.token is None:
            return _refused(401, "Invalid username or password.")
        if call.token != OWNER or wanted["organization"] != "org":
            return _refused(403, f'You don\'t have the rights to create a model under the namespace "{repo_id}"')
        if repo_id in self.repositories:
            return _json({"error": "You already created this model repo", "url": f"{self.endpoint}/{repo_id}"}, 409)
        self.made(repo_id, private=wanted.get("visibility") == "private" or wanted.get("private") is True)
        return _json({"url": f"{self.endpoint}/{repo_id}"})

    def _validate(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        content = json.loads(call.body)["content"]
        block = re.match(r"---\r?\n(.*?)\r?\n---", content, re.DOTALL)
        metadata = yaml.safe_load(block[1]) if block else None
        if not isinstance(metadata, dict):
            return _json({"errors": [{"message": "metadata is no mapping"}]}, status=400)
        if metadata.get("license") == "refused-by-the-hub":
            return _json({"errors": [{"message": '"license" must be one of [apache-2.0, ...]'}]}, status=400)
        return _json({"errors": [], "warnings": []})

    def _preupload(self, call: Call, repo_id: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        stored = self._visible(call, repo_id)
        if stored is None:
            return self._missing(call)
        if call.token is None:
            return _refused(401, "Invalid username or password.")
        if call.token != OWNER and "create_pr" not in call.query:
            return _refused(403, "Authorization error.")
        return _json({"files": [self._mode(stored, file) for file in json.loads(call.body)["files"]]})

    def _mode(self, stored: StoredRepository, file: dict[str, Any]) -> dict[str, Any]:
        binary = b"\0" in base64.b64decode(file["sample"])
        content = stored.head.get(file["path"])
        lfs = binary and file["size"] > self.lfs_over
        oid = None
        if content is not None:
            header = b"blob %d\0" % len(content)
            oid = hashlib.sha256(content).hexdigest() if lfs else hashlib.sha1(header + content).hexdigest()
        return {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid}

    def _batch(self, call: Call, repo_id: str) -> tuple[int, dict[str, str], bytes]:
        objects = []
        for one in json.loads(call.body)["objects"]:
            actions = {
                "upload": {"href": f"{self.endpoint}/lfs/{one['oid']}", "header": {}},
                "verify": {"href": f"{self.endpoint}/lfs-verify", "header": {}},
            }
            objects.append({**one, **({} if one["oid"] in self.objects else {"actions": actions})})
        return _json({"transfer": "basic", "objects": objects})

    def _put_object(self, call: Call, oid: str) -> tuple[int, dict[str, str], bytes]:
        if hashlib.sha256(call.body).hexdigest() != oid:
            return _refused(400, "the content is not what its name says")
        self.objects[oid] = call.body
        return 200, {}, b""

    def _verify(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        one = json.loads(call.body)
        there = len(self.objects.get(one["oid"], b"")) == one["size"]
        return _json({}) if there else _refused(404, "no such object")

    def _commit(self, call: Call, repo_id: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        stored = self._visible(call, repo_id)
        pull_request = "create_pr" in call.query
        if stored is None:
            return self._missing(call)
        if call.token != OWNER and not pull_request:
            return _refused(403, "Authorization error.")
        header, *operations = [json.loads(line) for line in call.body.splitlines()]
        if header["value"].get("parentCommit") not in (None, stored.sha):
            return _refused(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(stored.head)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile" and value["oid"] in self.objects:
                tree[value["path"]] = self.objects[value["oid"]]
                stored.lfs.add(value["path"])
            else:
                return _refused(400, f"cannot take {operation['key']} {value['path']}")
        url = f"{self.endpoint}/{repo_id}"
        if pull_request:
            stored.pull_requests.append(tree)
            oid, number = hashlib.sha1(b"pr").hexdigest(), len(stored.pull_requests)
            pr_url = f"{url}/discussions/{number}"
            return _json(
                {"commitUrl": f"{url}/commit/{oid}", "commitOid": oid, "pullRequestUrl": pr_url, "success": True}
            )
        stored.commits.append(tree)
        stored.messages.append(header["value"]["summary"])
        return _json({"commitUrl": f"{url}/commit/{stored.sha}", "commitOid": stored.sha, "success": True})


def _json(content: Any, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _refused(status: int, message: str, code: str = "") -> tuple[int, dict[str, str], bytes]:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return status, {"Content-Type": "application/json", **headers}, json.dumps({"error": message}).encode()


@contextmanager
def serving(hub: HubServer) -> Iterator[HubServer]:
    """The Hub answers on this machine while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            url = urlsplit(self.path)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
            body = self._body()
            query = parse_qs(url.query)
            status, headers, content = hub.answer(Call(self.command, url.path, query, token, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_HEAD = _any  # noqa: N815 - the names that http.server calls

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def hub_of_this_test(monkeypatch: Any, home: Any) -> Iterator[HubServer]:
    """A running Hub that huggingface_hub takes for the real one, with the owner's token and without Xet."""
    import huggingface_hub
    from huggingface_hub import constants

    huggingface_hub.close_session()
    with serving(HubServer()) as hub:
        for name, value in {
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": OWNER,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        # what the library has read from the environment when it was imported
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(home / "harnesses.json"))
        try:
            yield hub
        finally:
            huggingface_hub.close_session()
