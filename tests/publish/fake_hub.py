"""A server of data set repositories that speaks the Hub's HTTP API as its unmodified client asks for it, and the storage behind it: LFS and Xet.

It keeps everything in memory, answers on two origins (127.0.0.1 is the Hub, localhost is the storage that it redirects to, as the real one's is elsewhere)
and is strict: what the Hub refuses is refused with the status and the headers that the client reads. Uploads are checked: length and sha256 of an LFS object;
of a Xet file, which is put together anew from its xorbs by what its shard says. `fail` makes requests fail once, or as often as is said.

Not here: models and spaces, branches, pull requests, gated access, deduplication against what the server holds (Xet's `/v1/chunks`).
"""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

from tests.publish.fake_xet import XetFile, chunks, files_of_shard

TOKEN = "hf_writes"
READ_TOKEN = "hf_reads"
OWNER = "org"
REGULAR_LIMIT = 10_000_000  # larger ones must be LFS, whatever their name
INITIAL = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
_CAS_TOKEN = "xet_token"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_blob(data: bytes) -> str:
    """git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class Blob:
    """A file in a commit. LFS and Xet files are the same to git: a pointer that names their sha256."""

    sha256: str
    size: int
    lfs: bool
    oid: str  # git's, of the content or of the pointer

    @classmethod
    def regular(cls, data: bytes) -> "Blob":
        return cls(sha256(data), len(data), False, git_blob(data))

    @classmethod
    def pointer(cls, digest: str, size: int) -> "Blob":
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
        return cls(digest, size, True, git_blob(text.encode()))


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    message: str
    tree: dict[str, Blob]


@dataclass
class Repository:
    """One data set: a line of commits and its tags."""

    name: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, title: str, message: str, tree: dict[str, Blob]) -> Commit:
        parent = self.commits[-1].oid if self.commits else None
        said = json.dumps([parent, title, message, sorted((p, b.oid) for p, b in tree.items())])
        self.commits.append(Commit(hashlib.sha1(said.encode()).hexdigest(), parent, title, message, tree))
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """The commit that `main`, a tag or an oid stands for."""
        oid = self.tags.get(revision, revision)
        return self.commits[-1] if oid in ("main", "HEAD") else next((c for c in self.commits if c.oid == oid), None)


@dataclass
class Fault:
    """What happens to requests that match, after `skip` of them and for `times`.

    kind: a status; "drop" (the connection ends, nothing was done); "lose" (it was done, and the connection ends before the answer); or a function, which
    is called first, and may return one of these.
    """

    pattern: re.Pattern[str]
    kind: Any
    times: int
    skip: int

    def strikes(self, line: str) -> bool:
        if not self.pattern.search(line) or self.times <= 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, error: str, code: str | None = None, **body: Any) -> None:
        super().__init__(error)
        self.status, self.code, self.body = status, code, {"error": error, **body}


class FakeHub:
    """The server; a context manager. `url` is its endpoint, `requests` what it was asked ("POST /api/repos/create 200")."""

    def __init__(self, *, page: int = 5, part_bytes: int = 60_000) -> None:
        self.page, self.part_bytes = page, part_bytes
        self.repositories: dict[str, Repository] = {}
        self.content: dict[str, bytes] = {}  # by sha256
        self.xorbs: dict[str, bytes] = {}
        self.xet: dict[str, XetFile] = {}  # by Xet's hash
        self.xet_of: dict[str, str] = {}  # sha256 -> Xet's hash
        self.parts: dict[tuple[str, int], bytes] = {}
        self.requests: list[str] = []
        self.unknown: set[str] = set()  # requests that no route takes
        self.received_bytes = 0  # of LFS objects and xorbs
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Handler(self, *given))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.storage = f"http://localhost:{self.server.server_port}"

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(self, pattern: str, kind: Any, times: int = 1, skip: int = 0) -> None:
        """Let requests whose "METHOD /path" matches fail."""
        self.faults.append(Fault(re.compile(pattern), kind, times, skip))

    def asked(self, pattern: str) -> list[str]:
        """The requests that match, in order."""
        return [r for r in self.requests if re.search(pattern, r)]

    def state(self, name: str) -> dict[str, Any]:
        """What a reader sees of a repository: the content of `main` and of every tag, by path."""
        repository = self.repositories[name]
        trees = {"main": repository.commits[-1], **{tag: repository.at(tag) for tag in repository.tags}}
        return {ref: {path: (blob.sha256, blob.lfs) for path, blob in sorted(commit.tree.items())} for ref, commit in trees.items() if commit}

    def commit(self, name: str, title: str, files: dict[str, bytes | None]) -> Commit:
        """A commit by somebody else; None removes a file."""
        repository = self.repositories[name]
        tree = dict(repository.commits[-1].tree)
        for path, data in files.items():
            if data is None:
                del tree[path]
            else:
                tree[path] = Blob.regular(data)
                self.content[tree[path].sha256] = data
        return repository.add(title, "", tree)

    def create(self, name: str, private: bool = False) -> Repository:
        repository = Repository(name, private)
        repository.add("initial commit", "", {".gitattributes": Blob.regular(INITIAL)})
        self.content[sha256(INITIAL)] = INITIAL
        self.repositories[name] = repository
        return repository

    def read(self, name: str, path: str, revision: str = "main") -> bytes:
        commit = self.repositories[name].at(revision)
        assert commit is not None
        return self.bytes_of(commit.tree[path].sha256)

    def bytes_of(self, digest: str) -> bytes:
        return self.content[digest] if digest in self.content else self.xet[self.xet_of[digest]].read(self.xorbs)


# --- requests -----------------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: FakeHub, *given: Any) -> None:
        self.hub = hub
        super().__init__(*given)

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.handle_request()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # the base class's names

    def handle_request(self) -> None:
        at = urlsplit(self.path)
        self.route, self.query = unquote(at.path), parse_qs(at.query)
        self.body = self.read_body()
        line = f"{self.command} {self.route}"
        with self.hub.lock:
            fault = next(iter([f for f in self.hub.faults if f.strikes(line)]), None)
        kind = fault.kind if fault else None
        if callable(kind):
            kind = kind()
        if kind == "drop":
            self.note(line, "dropped")
            return self.hang_up()
        try:
            if isinstance(kind, int):
                raise Refused(kind, "Invalid credentials in Authorization header" if kind == 401 else "injected")
            with self.hub.lock:
                status, headers, body = self.answer()
        except (Refused, ValueError, KeyError) as error:  # what is malformed does not get further than its parser
            refused = error if isinstance(error, Refused) else Refused(400, repr(error))
            status, headers, body = refused.status, {"X-Error-Message": refused.body["error"]}, json.dumps(refused.body).encode()
            if refused.code:
                headers["X-Error-Code"] = refused.code
        if kind == "lose":
            self.note(line, f"{status} lost")
            return self.hang_up()
        self.note(line, status)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return None

    def note(self, line: str, what: Any) -> None:
        self.hub.requests.append(f"{line} {what}")

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.rfile = self.wfile = open("/dev/null", "rb+")  # noqa: SIM115  # what the base class still flushes

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            found = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                found.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(found)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    # --- routes

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        for method, pattern, handler in _ROUTES:
            if self.command in method and (match := re.fullmatch(pattern, self.route)):
                found = handler(self, **match.groupdict())
                if isinstance(found, tuple):
                    return found
                return 200, {}, json.dumps(found).encode()
        self.hub.unknown.add(f"{self.command} {self.route}")
        raise Refused(404, f"Cannot {self.command} {self.route}")

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def bearer(self) -> str | None:
        given = self.headers.get("Authorization")
        if given is None:
            return None
        token = given.removeprefix("Bearer ")
        if token not in (TOKEN, READ_TOKEN):
            raise Refused(401, "Invalid credentials in Authorization header")
        return token

    def writer(self, name: str | None = None) -> None:
        token = self.bearer
        if token is None:
            raise Refused(401, "Invalid username or password.")
        if token == READ_TOKEN:
            raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
        if name and name.partition("/")[0] != OWNER:
            raise Refused(403, f'You don\'t have the rights to create a dataset under the namespace "{name.partition("/")[0]}"')

    def repository(self, name: str, write: bool = False) -> Repository:
        token = self.bearer
        found = self.hub.repositories.get(name)
        if found is None or (found.private and token is None):
            raise Refused(404 if token else 401, "Repository not found", "RepoNotFound")
        if write:
            self.writer(name)
        return found

    def at(self, repository: Repository, revision: str) -> Commit:
        commit = repository.at(revision)
        if commit is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    # --- accounts and repositories

    def whoami(self) -> Any:
        token = self.bearer
        if token is None:
            raise Refused(401, "Invalid username or password.")
        return {"type": "user", "name": "somebody", "orgs": [{"name": OWNER}], "auth": {"accessToken": {"role": "write" if token == TOKEN else "read"}}}

    def create(self) -> Any:
        asked = self.json()
        if asked.get("type") != "dataset" or set(asked) - {"name", "organization", "type", "visibility"}:
            raise Refused(400, f"unexpected {sorted(asked)}")
        name = f"{asked['organization']}/{asked['name']}"
        self.writer(name)
        if name in self.hub.repositories:
            raise Refused(409, "You already created this dataset repo", url=f"{self.hub.url}/datasets/{name}")
        self.hub.create(name, asked.get("visibility") == "private")
        return {"url": f"{self.hub.url}/datasets/{name}", "name": name, "id": "1"}

    def validate_yaml(self) -> Any:
        asked = self.json()
        if asked.get("repoType") != "dataset":
            raise Refused(400, "repoType", errors=[{"message": '"repoType" must be "dataset"'}])
        errors = card_errors(asked["content"])
        if errors:
            return 400, {}, json.dumps({"errors": [{"message": e} for e in errors], "warnings": []}).encode()
        return {"errors": [], "warnings": []}

    def info(self, name: str, revision: str = "main") -> Any:
        repository = self.repository(name)
        commit = self.at(repository, revision)
        return {
            "_id": "1", "id": name, "author": name.partition("/")[0], "sha": commit.oid, "private": repository.private, "gated": False, "disabled": False,
            "lastModified": "2026-11-22T00:00:00.000Z", "createdAt": "2026-11-22T00:00:00.000Z", "tags": [], "downloads": 0, "likes": 0,
            "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
        }  # fmt: skip

    def refs(self, name: str) -> Any:
        repository = self.repository(name)
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repository.commits[-1].oid}]
        return {
            "branches": branches,
            "converts": [],
            "tags": [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in sorted(repository.tags.items())],
        }

    def tag(self, name: str, revision: str) -> Any:
        repository = self.repository(name, write=True)
        commit, tag = self.at(repository, revision), self.json()["tag"]
        if tag in repository.tags:
            raise Refused(409, f"Tag reference exists already: {tag}")
        repository.tags[tag] = commit.oid
        return {"success": True}

    def commits(self, name: str, revision: str) -> Any:
        repository = self.repository(name)
        line = repository.commits[: repository.commits.index(self.at(repository, revision)) + 1][::-1]
        rows = [{"id": c.oid, "title": c.title, "message": c.message, "date": "2026-11-22T00:00:00.000Z", "authors": [{"user": "somebody"}]} for c in line]
        return self.paged(rows)

    def paged(self, rows: list[Any]) -> Any:
        """One page, and where the next one is."""
        start = int(self.query.get("cursor", ["0"])[0])
        headers = {}
        if len(rows) > start + self.hub.page:
            query = "&".join(f"{k}={quote(v[0])}" for k, v in self.query.items() if k != "cursor")
            headers["Link"] = f'<{self.hub.url}{quote(self.route)}?{query}&cursor={start + self.hub.page}>; rel="next"'
        return 200, headers, json.dumps(rows[start : start + self.hub.page]).encode()

    def entry(self, path: str, blob: Blob, expand: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "file", "path": path, "size": blob.size, "oid": blob.oid}
        if blob.lfs:
            found["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}
            if blob.sha256 in self.hub.xet_of:
                found["xetHash"] = self.hub.xet_of[blob.sha256]
        if expand:
            found["lastCommit"] = {"id": "0" * 40, "title": "a commit", "date": "2026-11-22T00:00:00.000Z"}
        return found

    def folder(self, path: str) -> dict[str, Any]:
        return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}

    def tree(self, name: str, revision: str, path: str = "") -> Any:
        repository = self.repository(name)
        files = self.at(repository, revision).tree
        under = f"{path.strip('/')}/" if path else ""
        files = {p: b for p, b in files.items() if p.startswith(under)}
        if under and not files:
            raise Refused(404, f"{path} does not exist", "EntryNotFound")
        recursive, expand = (self.query.get(k, ["false"])[0].lower() in ("true", "1") for k in ("recursive", "expand"))
        folders = {"/".join(p.split("/")[:i]) for p in files for i in range(1, len(p.split("/")))} - {path.strip("/")}
        rows = [(p, self.entry(p, b, expand)) for p, b in files.items()] + [(f, self.folder(f)) for f in folders if f.startswith(under)]
        return self.paged([row for p, row in sorted(rows, key=lambda r: r[0]) if recursive or "/" not in p[len(under) :]])

    def paths_info(self, name: str, revision: str) -> Any:
        files = self.at(self.repository(name), revision).tree
        asked = parse_qs(self.body.decode())
        expand = asked.get("expand", ["false"])[0].lower() == "true"
        found = []
        for path in asked.get("paths", []):
            if path in files:
                found.append(self.entry(path, files[path], expand))
            elif any(p.startswith(f"{path}/") for p in files):
                found.append(self.folder(path))
        return found

    # --- writing

    def preupload(self, name: str, revision: str) -> Any:
        tree = self.at(self.repository(name, write=True), revision).tree
        found = []
        for file in self.json()["files"]:
            if len(base64.b64decode(file["sample"])) != min(512, file["size"]):
                raise Refused(400, "sample")
            large = file["path"].endswith(".parquet") or file["size"] > REGULAR_LIMIT
            held = tree.get(file["path"])
            oid = (held.sha256 if held.lfs else held.oid) if held else None
            found.append({"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid})
        if len(found) > 256:
            raise Refused(413, "too many files")
        return {"files": found, "commitOid": self.at(self.repository(name), revision).oid}

    def commit(self, name: str, revision: str) -> Any:
        repository = self.repository(name, write=True)
        head = self.at(repository, revision)
        if revision != "main" or self.headers.get("Content-Type") != "application/x-ndjson":
            raise Refused(400, "commits go to main, as application/x-ndjson")
        items = [json.loads(line) for line in self.body.splitlines() if line]
        if not items or items[0]["key"] != "header" or not items[0]["value"].get("summary"):
            raise Refused(400, "the first line is the header, with a summary")
        header = items[0]["value"]
        if header.get("parentCommit", head.oid) != head.oid:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(head.tree)
        for item in items[1:]:
            value = item["value"]
            path = value["path"]
            match item["key"]:
                case "file":
                    data = base64.b64decode(value["content"], validate=True)
                    if path.endswith(".parquet") or len(data) > REGULAR_LIMIT:
                        raise Refused(400, f"Your push was rejected because it contains binary or large files outside of LFS: {path}")
                    if path == "README.md" and card_errors(data.decode()):
                        raise Refused(400, "Invalid metadata in README.md", errors=[{"message": e} for e in card_errors(data.decode())])
                    tree[path] = Blob.regular(data)
                    self.hub.content[tree[path].sha256] = data
                case "lfsFile":
                    digest, size = value["oid"], value["size"]
                    if value["algo"] != "sha256" or (digest not in self.hub.content and digest not in self.hub.xet_of):
                        raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
                    if len(self.hub.bytes_of(digest)) != size:
                        raise Refused(400, f"LFS pointer of another size: {path}")
                    tree[path] = Blob.pointer(digest, size)
                case "deletedFile":
                    if tree.pop(path, None) is None:
                        raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
                case other:
                    raise Refused(400, f"unexpected {other}")
        made = repository.add(header["summary"], header.get("description", ""), tree)
        return {"success": True, "commitOid": made.oid, "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{made.oid}", "hookOutput": ""}

    # --- LFS

    def lfs_batch(self, name: str) -> Any:
        self.repository(name, write=True)
        asked = self.json()
        if asked["operation"] != "upload" or asked["hash_algo"] != "sha256" or asked["transfers"] != ["basic", "multipart"]:
            raise Refused(422, "unexpected operation")
        found = []
        for item in asked["objects"]:
            oid, size = item["oid"], item["size"]
            if oid in self.hub.content or oid in self.hub.xet_of:
                found.append({"oid": oid, "size": size})
                continue
            header: dict[str, str] = {}
            upload = f"{self.hub.storage}/lfs/{oid}/{size}"
            if size > self.hub.part_bytes:
                n = -(-size // self.hub.part_bytes)
                header = {"chunk_size": str(self.hub.part_bytes), **{str(i): f"{self.hub.storage}/lfs/{oid}/part/{i}" for i in range(1, n + 1)}}
                upload = f"{self.hub.url}/lfs/{oid}/{size}/complete"
            verify = {"href": f"{self.hub.url}/datasets/{name}.git/info/lfs/objects/verify", "header": {}}
            found.append({"oid": oid, "size": size, "actions": {"upload": {"href": upload, "header": header}, "verify": verify}})
        return 200, {"Content-Type": "application/vnd.git-lfs+json"}, json.dumps({"transfer": "basic", "objects": found}).encode()

    def storage_only(self) -> None:
        """Uploads to storage are signed by their address; the Hub's token has no business there."""
        if "Authorization" in self.headers:
            raise Refused(400, "Only one auth mechanism allowed")

    def lfs_put(self, oid: str, size: str) -> Any:
        self.storage_only()
        return self.keep(oid, int(size), self.body)

    def lfs_part(self, oid: str, part: str) -> Any:
        self.storage_only()
        self.hub.received_bytes += len(self.body)
        self.hub.parts[oid, int(part)] = self.body
        return 200, {"ETag": f'"{hashlib.md5(self.body).hexdigest()}"'}, b""

    def lfs_complete(self, oid: str, size: str) -> Any:
        asked = self.json()
        parts = [self.hub.parts[oid, p["partNumber"]] for p in asked["parts"]]
        if [f'"{hashlib.md5(p).hexdigest()}"' for p in parts] != [p["etag"] for p in asked["parts"]] or asked["oid"] != oid:
            raise Refused(400, "InvalidPart")
        if any(len(p) != self.hub.part_bytes for p in parts[:-1]):
            raise Refused(400, "EntityTooSmall")
        data = b"".join(parts)
        self.hub.received_bytes -= len(data)  # `keep` counts it again
        return self.keep(oid, int(size), data)

    def keep(self, oid: str, size: int, data: bytes) -> Any:
        self.hub.received_bytes += len(data)
        if sha256(data) != oid or len(data) != size:
            raise Refused(400, "BadDigest")
        self.hub.content[oid] = data
        return 200, {"ETag": f'"{oid}"'}, b""

    def lfs_verify(self, name: str) -> Any:
        self.repository(name, write=True)
        asked = self.json()
        if len(self.hub.content.get(asked["oid"], b"")) != asked["size"]:
            raise Refused(404, "Object does not exist")
        return {}

    # --- Xet

    def xet_token(self, name: str, right: str, revision: str) -> Any:
        repository = self.repository(name, write=right == "write")
        self.at(repository, revision)
        url, end = f"{self.hub.storage}/cas", int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": _CAS_TOKEN, "X-Xet-Token-Expiration": str(end)}
        return 200, headers, json.dumps({"casUrl": url, "accessToken": _CAS_TOKEN, "exp": end}).encode()

    def cas(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {_CAS_TOKEN}":
            raise Refused(401, "no token of the storage")

    def chunk(self, chunk: str) -> Any:
        """Whether a shard is known that has this chunk: never, here."""
        self.cas()
        raise Refused(404, "not known")

    def xorb_grant(self, xorb: str) -> Any:
        self.cas()
        asked = self.json()
        if asked["checksum"]["algo"] != "crc64nvme":
            raise Refused(400, "checksum")
        if xorb in self.hub.xorbs:
            return 200, {}, b"{}"
        grant = {"id": xorb[:16], "method": "PUT", "url": f"{self.hub.storage}/xorbs/{xorb}/{asked['length']}", "headers": {"x-granted": "yes"}}
        return 201, {}, json.dumps(grant).encode()

    def xorb_put(self, xorb: str, size: str) -> Any:
        self.storage_only()
        if len(self.body) != int(size) or self.headers.get("x-granted") != "yes":
            raise Refused(400, "InvalidRequest")
        if not sum(1 for _ in chunks(self.body)):
            raise Refused(400, "an empty xorb")
        self.hub.received_bytes += len(self.body)
        self.hub.xorbs[xorb] = self.body
        return 200, {}, b""

    def xorb_commit(self, xorb: str, grant: str) -> Any:
        self.cas()
        if grant != xorb[:16] or xorb not in self.hub.xorbs:
            raise Refused(404, "nothing was uploaded")
        return {}

    def shard(self) -> Any:
        self.cas()
        for file in files_of_shard(self.body):
            if any(term.xorb not in self.hub.xorbs for term in file.terms):
                raise Refused(400, "a shard that names a xorb which is not there")
            if sha256(file.read(self.hub.xorbs)) != file.sha256:
                raise Refused(400, "a file that does not have the sha256 that its shard says")
            self.hub.xet[file.hash], self.hub.xet_of[file.sha256] = file, file.hash
        if "/v1/" in self.route:
            return {"result": 1}
        frames = [{"type": "validating", "verified": 1, "total": 1}, {"type": "committing", "stage": "uploading"}, {"type": "result"}]
        return 200, {"Content-Type": "application/x-ndjson"}, b"".join(json.dumps(f).encode() + b"\n" for f in frames)

    def reconstruction(self, file: str) -> Any:
        self.cas()
        if file not in self.hub.xet:
            raise Refused(404, "no such file")
        found = self.hub.xet[file]
        start, end = byte_range(self.headers.get("Range"), found.size) or (0, found.size)
        terms, at, offset = [], 0, 0
        for term in found.terms:
            if at < end and at + term.size > start:
                offset = offset if terms else start - at
                terms.append(term)
            at += term.size
        fetch: dict[str, list[Any]] = {}
        for term in terms:
            places = list(chunks(self.hub.xorbs[term.xorb]))
            ranges = {
                "chunks": {"start": term.first, "end": term.end},
                "bytes": {"start": places[term.first][0], "end": places[term.end - 1][1] - 1},
            }
            fetch.setdefault(term.xorb, []).append({"url": f"{self.hub.storage}/xorbs/{term.xorb}", "ranges": [ranges]})
        rows = [{"hash": t.xorb, "unpacked_length": t.size, "range": {"start": t.first, "end": t.end}} for t in terms]
        return {"offset_into_first_range": offset, "terms": rows, "xorbs": fetch}

    def xorb_get(self, xorb: str) -> Any:
        self.storage_only()
        return self.ranged(self.hub.xorbs[xorb], {})

    # --- reading

    def resolve(self, name: str, revision: str, path: str) -> Any:
        repository = self.repository(name)
        commit = self.at(repository, revision)
        blob = commit.tree.get(path)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if blob is None:
            raise Refused(404, "Entry not found", "EntryNotFound")
        if not blob.lfs:
            return self.ranged(self.hub.bytes_of(blob.sha256), {**headers, "ETag": f'"{blob.oid}"'})
        headers |= {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.sha256}"', "Location": f"{self.hub.storage}/objects/{blob.sha256}"}
        if blob.sha256 in self.hub.xet_of:
            headers["X-Xet-Hash"] = self.hub.xet_of[blob.sha256]
            headers["Link"] = f'<{self.hub.url}/api/datasets/{name}/xet-read-token/{commit.oid}>; rel="xet-auth"'
        return 302, headers, b""

    def object(self, oid: str) -> Any:
        self.storage_only()
        return self.ranged(self.hub.bytes_of(oid), {"ETag": f'"{oid}"'})

    def ranged(self, data: bytes, headers: dict[str, str]) -> Any:
        headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        asked = byte_range(self.headers.get("Range"), len(data))
        if asked is None:
            return 200, headers, data
        return 206, {**headers, "Content-Range": f"bytes {asked[0]}-{asked[1] - 1}/{len(data)}"}, data[asked[0] : asked[1]]


def byte_range(given: str | None, size: int) -> tuple[int, int] | None:
    """`bytes=a-b` as a half-open range; 416 where it begins behind the end."""
    if not given:
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", given)
    if not match or not any(match.groups()):
        raise Refused(400, f"Range {given}")
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= size:
        raise Refused(416, "Requested Range Not Satisfiable")
    return start, end


def card_errors(content: str) -> list[str]:
    """What the Hub would say against a card's front matter."""
    match = re.match(r"---\r?\n(.*?)\r?\n---", content, re.S)
    if not match:
        return []
    try:
        fields = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [f"Invalid YAML: {error}"]
    configs = fields.get("configs", [])
    errors = ['"configs" must be a list of names and data files' for c in configs if not isinstance(c.get("config_name"), str) or "data_files" not in c]
    if not isinstance(fields.get("license", ""), str | list):
        errors.append('"license" must be a string')
    return errors


_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
_API = rf"/api/datasets/{_NAME}"
_HASH = r"[0-9a-f]{64}"
_ROUTES: list[tuple[tuple[str, ...], str, Callable[..., Any]]] = [
    (("GET",), r"/api/whoami-v2", _Handler.whoami),
    (("POST",), r"/api/repos/create", _Handler.create),
    (("POST",), r"/api/validate-yaml", _Handler.validate_yaml),
    (("GET",), _API, _Handler.info),
    (("GET",), rf"{_API}/revision/(?P<revision>[^/]+)", _Handler.info),
    (("GET",), rf"{_API}/refs", _Handler.refs),
    (("GET",), rf"{_API}/commits/(?P<revision>[^/]+)", _Handler.commits),
    (("GET",), rf"{_API}/tree/(?P<revision>[^/]+)(?P<path>(/.*)?)", _Handler.tree),
    (("POST",), rf"{_API}/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    (("POST",), rf"{_API}/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    (("POST",), rf"{_API}/commit/(?P<revision>[^/]+)", _Handler.commit),
    (("POST",), rf"{_API}/tag/(?P<revision>[^/]+)", _Handler.tag),
    (("GET",), rf"{_API}/xet-(?P<right>read|write)-token/(?P<revision>[^/]+)", _Handler.xet_token),
    (("POST",), rf"/datasets/{_NAME}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    (("POST",), rf"/datasets/{_NAME}\.git/info/lfs/objects/verify", _Handler.lfs_verify),
    (("GET", "HEAD"), rf"/datasets/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
    (("PUT",), rf"/lfs/(?P<oid>{_HASH})/(?P<size>\d+)", _Handler.lfs_put),
    (("PUT",), rf"/lfs/(?P<oid>{_HASH})/part/(?P<part>\d+)", _Handler.lfs_part),
    (("POST",), rf"/lfs/(?P<oid>{_HASH})/(?P<size>\d+)/complete", _Handler.lfs_complete),
    (("GET", "HEAD"), rf"/objects/(?P<oid>{_HASH})", _Handler.object),
    (("GET",), rf"/cas/v1/chunks/default/(?P<chunk>{_HASH})", _Handler.chunk),
    (("POST",), rf"/cas/v1/xorb-grants/default/(?P<xorb>{_HASH})", _Handler.xorb_grant),
    (("POST",), rf"/cas/v1/xorb-commits/default/(?P<xorb>{_HASH})/grant/(?P<grant>\w+)", _Handler.xorb_commit),
    (("PUT",), rf"/xorbs/(?P<xorb>{_HASH})/(?P<size>\d+)", _Handler.xorb_put),
    (("GET",), rf"/xorbs/(?P<xorb>{_HASH})", _Handler.xorb_get),
    (("POST",), r"/cas/v[12]/shards", _Handler.shard),
    (("GET",), rf"/cas/v2/reconstructions/(?P<file>{_HASH})", _Handler.reconstruction),
]
