"""`publish RELEASE --to ORG/NAME`: a release becomes a data set repository on the Hub, checked before, compared after, tagged last.

In this order: `verify`; a look at the repository; the files that the manifest lists; in one commit the card, the manifest, and the removal of what only
an older version had; a comparison of the repository's tree with the manifest, by size and hash; the tag, which is the version. So a tag always stands on
a whole release, and readers pin it (`revision="VERSION"`); `main` is of two versions while a new one is being sent. Running again goes on from there.
Not a mirror: files that no release wrote (a licence, a picture) stay. Cost: `verify`, and what the Hub does not hold yet.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import PublishError, ReleaseExists
from pipeline.shards import Release, open_release

# What releases write, of any version: `_is_released`.
_FOLDERS = ("data", "validation", "removed", "ledger", "signatures", "figures")
_ROOT_FILES = (
    "recipe.json",
    "stats.json",
    "mixture.json",
    "schedule.json",
    "code.json",
    "ATTRIBUTION.md",
    "manifest.json",
    "README.md",
    "README.zh-CN.md",
    "croissant.json",
)
_WAITS = (1.0, 3.0, 9.0)  # seconds before an answer that may be better next time is asked for again
_TRANSIENT = (0, 408, 429, 500, 502, 503, 504)  # 0: no answer at all
_KIND = "dataset"
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"


@dataclass(frozen=True)
class File:
    """A file of the release: where it goes, how long it is, and whether the Hub holds it already."""

    path: str
    size: int
    there: bool = False


@dataclass(frozen=True)
class Publication:
    """What was sent, or would be. `str()` of it is what the command prints."""

    release: str  # NAME@VERSION
    to: str
    url: str
    files: tuple[File, ...]
    removed: tuple[str, ...] = ()  # of an older version
    others: tuple[str, ...] = ()  # written by nobody here, and left alone
    commit: str | None = None  # where the tag stands
    already: bool = False
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    @property
    def sent(self) -> tuple[File, ...]:
        """The files that the Hub did not hold before."""
        return tuple(f for f in self.files if not f.there)

    def __str__(self) -> str:
        whole = f"{_size(self.files)} in {len(self.files):,} files"
        if self.already:
            lines = [f"{self.release} is already published: {self.url} holds the same content ({whole})."]
        elif self.dry_run:
            lines = [f"{'  there' if f.there else '   send'} {f.size:>14,}  {f.path}" for f in self.files]
            lines += [f" remove {'':>14}  {path}" for path in self.removed]
            lines.append(
                f"{self.release} would be published at {self.url}: {_size(self.sent)} in {len(self.sent):,} files to send, of {whole}. Nothing was sent."
            )
        else:
            lines = [f"{self.release} is published: {self.url} ({whole}, of which {_size(self.sent)} were sent; commit {self.commit})."]
        if self.others:
            lines.append(f"The repository also holds {_some(self.others)}, which no release wrote: left as they are.")
        return "\n".join([*lines, *self.notes])


def publish(
    release: str,
    to: str,
    private: bool = False,
    dry_run: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
    say: Callable[[str], None] | None = None,
    cpus: int = 1,
) -> Publication:
    """Publish the release in the folder `release` as the data set `to` (ORG/NAME). `endpoint` and `token` are the client's own where they are not given.

    `say` hears of each step. A dry run does what can be checked without writing. PublishError says what is wrong and what would do; ReleaseExists
    where the version is published with other content.
    """
    say = say or (lambda _: None)
    _check_client()
    _check_name(to)
    local = _Local(open_release(_local_folder(release)))
    local.check()
    from huggingface_hub import constants, get_token

    endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
    try:
        token = token or get_token()
    except _client_errors() as error:
        raise _told("get a token", error, to, endpoint) from error
    if not token and not dry_run:
        raise PublishError(
            f"There is no token to write to {to}. Make one with write access at {endpoint}/settings/tokens, then `hf auth login`, or set HF_TOKEN."
        )
    say(f"Verifying {local.name}")
    _verify(local, cpus)
    url = f"{endpoint}/datasets/{to}/tree/{quote(local.version)}"
    if not token:
        note = f"There is no token, so {to} was not looked at: `hf auth login`, or set HF_TOKEN."
        return Publication(local.name, to, url, local.listed(), dry_run=True, notes=(note,))
    hub = _Hub(to, endpoint, token, local)
    return hub.look(url, private) if dry_run else hub.publish(url, private, say)


def _check_client() -> None:
    try:
        import httpx2  # noqa: F401  # what version 2 of the client is built on
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise PublishError("To publish takes the Hub's client, version 2: pip install 'skypile-builder[hub]'.") from error


def _check_name(to: str) -> None:
    """The Hub's own rules, before anything else is asked."""
    if not re.fullmatch(rf"{_PART}/{_PART}", to) or "--" in to or ".." in to or to.endswith(".git") or len(to) > 96:
        raise PublishError(
            f"{to!r} is no name of a data set. Write ORG/NAME, such as skywork/skypile: letters, digits, '-', '_' and '.', not twice '-' or '.' together, "
            "none of them first or last, 96 in all."
        )


def _local_folder(release: str) -> str:
    if "://" in release and not release.startswith("file://"):
        raise PublishError(f"{release} is not on a disk of this machine, and the Hub's client reads files from there: copy the release here first.")
    return release


def _verify(local: "_Local", cpus: int) -> None:
    from pipeline.publish.verify import verify

    problems = list(verify(local.path, cpus=cpus).problems)
    if problems:
        raise PublishError(
            f"{local.path} does not hold what it says, so nothing was sent: {_some(problems, '; ')}. "
            "Make the release again (remove its folder, and run its recipe), or take an undamaged copy."
        )


# --- the release on disk ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Local:
    """The release here: what belongs to it, and what a file's content is called on the Hub."""

    release: Release

    @property
    def path(self) -> str:
        return self.release.path

    @property
    def version(self) -> str:
        return str(self.release.manifest["version"])

    @property
    def name(self) -> str:
        return f"{self.release.manifest['name']}@{self.version}"

    @cached_property
    def digest(self) -> str:
        """sha256 of the manifest, and so of the release."""
        return hashlib.sha256(self.bytes("manifest.json")).hexdigest()

    @property
    def mark(self) -> str:
        """What the titles of this release's commits begin with: how they are told from anybody else's."""
        return f"{self.name} ({self.digest[:12]})"

    @cached_property
    def here(self) -> list[str]:
        """Every file in the folder, by its path in it."""
        root = Path(self.path)
        return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())

    @cached_property
    def card(self) -> list[str]:
        from pipeline.publish.card import is_card_file

        return [f for f in self.here if is_card_file(f)]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file that belongs to the release: those that the manifest lists, the card, the manifest."""
        return {f: os.path.getsize(f"{self.path}/{f}") for f in sorted({*self.release.manifest["files"], *self.card, "manifest.json"})}

    def bytes(self, file: str) -> bytes:
        return Path(self.path, file).read_bytes()

    def listed(self, there: Iterable[str] = ()) -> tuple[File, ...]:
        held = set(there)
        return tuple(File(f, size, f in held) for f, size in self.sizes.items())

    def check(self) -> None:
        """What makes a release unfit to be published, and takes no time to see."""
        if "README.md" not in self.card:
            raise PublishError(f"{self.path} has no README.md, which is its page on the Hub. Write it first: python -m pipeline card {self.path}")
        if ".." in self.version or self.version.endswith((".", ".lock")) or not re.fullmatch(r"[A-Za-z0-9_.+-]+", self.version):
            raise PublishError(
                f"The version {self.version!r} of {self.path} cannot be a git tag. Give the recipe another one, such as 2026.12, and run it again."
            )
        missing = sorted(f for f in self.release.manifest["files"] if not os.path.isfile(f"{self.path}/{f}"))
        if missing:
            raise PublishError(f"{self.path} is not whole: {_some(missing)} {'are' if len(missing) > 1 else 'is'} missing. Nothing was sent.")

    def is_same(self, file: str, remote: Any) -> bool:
        """Whether what the Hub holds under this path is our content. LFS and Xet files are named by their sha256, others by git's hash of a blob."""
        if remote is None or remote.size != self.sizes[file]:
            return False
        stated = self.release.manifest["files"].get(file, {}).get("sha256")
        if remote.lfs is not None:
            return bool(remote.lfs.sha256 == (stated or hashlib.sha256(self.bytes(file)).hexdigest()))
        data = self.bytes(file)  # small: what is large is in LFS
        if stated is not None and hashlib.sha256(data).hexdigest() != stated:
            return False  # changed here since it was verified
        return bool(remote.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


# --- the repository ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """The repository at one commit, and where its tags stand."""

    commit: str
    tree: dict[str, Any]  # path -> huggingface_hub.RepoFile
    tags: dict[str, str]


class _Hub:
    """A repository of the Hub, as this release sees it. What the client raises comes out as PublishError."""

    def __init__(self, to: str, endpoint: str, token: str, local: _Local) -> None:
        from huggingface_hub import HfApi

        self.to, self.endpoint, self.local = to, endpoint, local
        self.api = HfApi(endpoint=endpoint, token=token)

    # --- the two ways through

    def look(self, url: str, private: bool) -> Publication:
        """A dry run: what a real one would do, from here."""
        state = self._found(private)
        if state and (done := self._published(state, url)):
            return done
        self._check_card()
        if state is None:
            return Publication(self.local.name, self.to, url, self.local.listed(), dry_run=True, notes=(f"The repository {self.to} would be made.",))
        there = self._same(state.tree)
        removed = self._stale(state)
        others = tuple(f for f in self._others(state.tree) if f not in removed)
        return Publication(self.local.name, self.to, url, self.local.listed(there), removed, others, state.commit, dry_run=True)

    def publish(self, url: str, private: bool, say: Callable[[str], None]) -> Publication:
        """The real one."""
        state = self._found(private)
        if state and (done := self._published(state, url)):
            return done
        self._check_card()
        if state is None:
            say(f"Making {self.to}")
            self._ask(f"make {self.to}", self.api.create_repo, self.to, repo_type=_KIND, private=private or None, exist_ok=True)
            state = self._found(private)
            if state is None:
                raise PublishError(f"{self.to} was made, and cannot be seen. Look at {self.endpoint}/datasets/{self.to}, and run the same command again.")
        there = self._same(state.tree)
        removed = self._stale(state)  # by the manifest of the older version, which is there until the last commit
        to_send = [f for f in self.local.release.manifest["files"] if f not in there]
        commit = state.commit
        if to_send:
            say(f"Sending {_size(File(f, self.local.sizes[f]) for f in to_send)} in {len(to_send):,} files")
            commit = self._step("send the data", self._send_data, commit)
        if len(there) < len(self.local.sizes) or removed:
            say("Sending the card and the manifest")
            commit = self._step("send the card and the manifest", lambda base: self._send_card(base, removed), commit)
        say("Comparing the repository with the manifest")
        tree = self._compare(commit, removed)
        self._tag(commit)
        return Publication(self.local.name, self.to, url, self.local.listed(there), removed, self._others(tree), commit)

    # --- looking

    def _found(self, private: bool) -> _State | None:
        """The repository as it is, or None where there is none. Refuses a token that cannot write, a public one that should be private, and one that is
        somebody else's."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            who = self._ask("check the token", self.api.whoami, let=(403, 404, 429))
        except HfHubHTTPError:
            who = {}  # a token that is not asked this; what it may do will show
        role = who.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise PublishError(
                f"The token may read only. Make one with write access at {self.endpoint}/settings/tokens, then `hf auth login`, or set HF_TOKEN."
            )
        try:
            info = self._ask(f"look at {self.to}", self.api.dataset_info, self.to, let=(404,))
        except HfHubHTTPError:
            return None
        if private and not info.private:
            raise PublishError(f"{self.to} exists and is public, so --private would not hold. Make it private in its settings, or give another name.")
        state = _State(info.sha, self._tree(info.sha), self._tags())
        self._check_whose(state)
        return state

    def _check_whose(self, state: _State) -> None:
        """Files here are replaced and removed only where a release of the same name was published before."""
        name = self.local.release.manifest["name"]
        held = self._manifest(state.commit) if "manifest.json" in state.tree else None
        if held is not None and held.get("name") == name:
            return
        ours = sorted(path for path in state.tree if path != "README.md" and self._is_released(path, ()))
        if not ours or (held is None and any(c.title.startswith(f"{name}@") for c in self._commits(state.commit))):
            return  # empty but for a page, or a first publication that was cut short
        what = f"the release {held.get('name')}@{held.get('version')}" if held else f"files that no release of {name} wrote ({_some(ours)})"
        raise PublishError(f"{self.to} holds {what}, which {self.local.name} would replace. Give another name, or empty that repository first.")

    def _published(self, state: _State, url: str) -> Publication | None:
        """What there is to say where the tag exists already; None where it does not. ReleaseExists where it stands on other content."""
        commit = state.tags.get(self.local.version)
        if commit is None:
            return None
        tree = self._tree(self.local.version)
        if not self.local.is_same("manifest.json", tree.get("manifest.json")):
            files = self._manifest(self.local.version).get("files", {}) if "manifest.json" in tree else {}
            mine = self.local.release.manifest["files"]
            other = sorted(f for f in {*files, *mine} if files.get(f, {}).get("sha256") != mine.get(f, {}).get("sha256"))
            raise ReleaseExists(
                f"{self.to} has a version {self.local.version} with other content{f' ({_some(other)})' if other else ''}. "
                "What is published stays as it is: give the recipe another version, and run it again."
            )
        wrong = sorted(f for f in self.local.release.manifest["files"] if not self.local.is_same(f, tree.get(f)))
        if wrong:
            raise PublishError(
                f"The tag {self.local.version} of {self.to} has this release's manifest, but not its content: {_some(wrong)}. "
                "Somebody moved the tag: remove it there, and run the same command again."
            )
        card = sorted(f for f in self.local.card if not self.local.is_same(f, tree.get(f)))
        notes = (f"Its card there is another one ({_some(card)}), and stays as it is.",) if card else ()
        return Publication(self.local.name, self.to, url, self.local.listed(self._same(tree)), commit=commit, already=True, notes=notes)

    def _check_card(self) -> None:
        """Have the Hub look at the front matter of README.md before anything is sent."""
        from huggingface_hub import get_session, hf_raise_for_status

        def validate() -> Any:
            response = get_session().post(
                f"{self.endpoint}/api/validate-yaml",
                json={"content": self.local.bytes("README.md").decode(), "repoType": _KIND},
                headers={"authorization": f"Bearer {self.api.token}"},
            )
            if response.status_code != 400:
                hf_raise_for_status(response)
            return response

        answer = self._ask("have the card checked", validate)
        if answer.status_code == 400:
            faults = "; ".join(" ".join(str(e.get("message")).split()) for e in answer.json().get("errors", [])) or "no reason given"
            raise PublishError(f"The Hub refuses the front matter of {self.local.path}/README.md: {faults}. Write the card anew: python -m pipeline card")

    def _tags(self) -> dict[str, str]:
        """Tag -> commit."""
        return {tag.name: tag.target_commit for tag in self._ask(f"list the tags of {self.to}", self.api.list_repo_refs, self.to, repo_type=_KIND).tags}

    def _tree(self, revision: str) -> dict[str, Any]:
        from huggingface_hub import RepoFile

        def walk() -> dict[str, Any]:
            entries = self.api.list_repo_tree(self.to, recursive=True, revision=revision, repo_type=_KIND)
            return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

        return dict(self._ask(f"list {self.to}", walk))

    def _manifest(self, revision: str) -> dict[str, Any]:
        """The manifest that is there; empty where it is no JSON."""
        with tempfile.TemporaryDirectory() as folder:
            path = self._ask(
                f"read the manifest of {self.to}",
                self.api.hf_hub_download,
                self.to,
                "manifest.json",
                repo_type=_KIND,
                revision=revision,
                local_dir=folder,
                force_download=True,
            )
            with contextlib.suppress(ValueError):
                held = json.loads(Path(path).read_bytes())
                return held if isinstance(held, dict) else {}
        return {}

    def _commits(self, revision: str) -> list[Any]:
        return list(self._ask(f"list the commits of {self.to}", self.api.list_repo_commits, self.to, repo_type=_KIND, revision=revision))

    def _same(self, tree: Mapping[str, Any]) -> set[str]:
        """Our files that the repository holds already."""
        return {f for f in self.local.sizes if self.local.is_same(f, tree.get(f))}

    def _is_released(self, path: str, listed: Iterable[str]) -> bool:
        """Whether a path is one that releases write."""
        return path.partition("/")[0] in _FOLDERS if "/" in path else path in _ROOT_FILES or path in listed

    def _stale(self, state: _State) -> tuple[str, ...]:
        """Files of other versions that this one does not have."""
        listed = self._manifest(state.commit).get("files", {}) if "manifest.json" in state.tree else {}
        return tuple(sorted(p for p in state.tree if p not in self.local.sizes and self._is_released(p, listed)))

    def _others(self, tree: Mapping[str, Any]) -> tuple[str, ...]:
        """Files that no release writes."""
        return tuple(sorted(p for p in tree if p not in self.local.sizes and p != ".gitattributes" and not self._is_released(p, ())))

    # --- writing

    def _send_data(self, base: str) -> None:
        """The files that the manifest lists; several commits where they are many."""
        listed = self.local.release.manifest["files"]
        wanted = sorted({f"{escape(f.partition('/')[0])}/*" if "/" in f else escape(f) for f in listed})
        self.api.upload_folder(
            repo_id=self.to,
            repo_type=_KIND,
            folder_path=self.local.path,
            allow_patterns=wanted,
            ignore_patterns=[escape(f) for f in self.local.here if f not in listed],
            commit_message=f"{self.local.mark}: data",
            parent_commit=base,
        )

    def _send_card(self, base: str, removed: Iterable[str]) -> None:
        """The card, the manifest, and the removal of what only an older version had: one commit."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        tree = self._tree(base)
        operations: list[Any] = [
            *(CommitOperationDelete(path, is_folder=False) for path in removed if path in tree),
            *(CommitOperationAdd(f, f"{self.local.path}/{f}") for f in (*self.local.card, "manifest.json")),
        ]
        self.api.create_commit(self.to, operations, commit_message=f"{self.local.mark}: card and manifest", repo_type=_KIND, parent_commit=base)

    def _step(self, what: str, send: Callable[[str], None], base: str) -> str:
        """Commit on top of `base`, and return the head that came of it. Nobody else may commit meanwhile.

        An answer may be lost while its commit was made, so after a failure the head is looked at, and what is there is not sent again.
        """
        for wait in (*_WAITS, None):
            try:
                send(base)
            except _client_errors() as error:
                status = _status(error)
                head = self._head(base)
                if wait is None or status not in (*_TRANSIENT, 412) or (status == 412 and head == base):
                    raise _told(what, error, self.to, self.endpoint) from error
                base = head
                time.sleep(wait)
            else:
                return self._head(base)
        raise AssertionError("the last round returns or raises")

    def _head(self, base: str) -> str:
        """Where `main` stands. Refuses if what came after `base` is not of this release alone."""
        head = str(self._ask(f"look at {self.to}", self.api.dataset_info, self.to).sha)
        if head != base:
            foreign = None
            for commit in self._commits(head):
                if commit.commit_id == base:
                    break
                if not commit.title.startswith(self.local.mark):
                    foreign = commit
            else:
                raise PublishError(f"The history of {self.to} was rewritten while {self.local.name} was sent. It has no tag yet: look at it, and run again.")
            if foreign is not None:
                raise PublishError(
                    f"{self.to} was changed while {self.local.name} was sent: commit {foreign.commit_id[:12]}, {foreign.title!r}. "
                    "It has no tag yet: see that nobody else writes to it, and run the same command again."
                )
        return head

    def _compare(self, commit: str, removed: Iterable[str]) -> dict[str, Any]:
        """Hold the repository's tree against the manifest: nothing missing, nothing other, nothing of an older version."""
        tree = self._tree(commit)
        wrong = [f"{f} is missing" if f not in tree else f"{f} is another file" for f in self.local.sizes if not self.local.is_same(f, tree.get(f))]
        wrong += [f"{path} is of another version" for path in tree if path not in self.local.sizes and (path in removed or self._is_released(path, ()))]
        if wrong:
            raise PublishError(
                f"{self.to} does not hold what the manifest of {self.local.name} says: {_some(wrong, '; ')}. It got no tag. "
                "Did a file change here since it was verified? Run the same command again; if it says so again, take another repository."
            )
        return tree

    def _tag(self, commit: str) -> None:
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self._ask(f"tag {self.to}", self.api.create_tag, self.to, tag=self.local.version, revision=commit, repo_type=_KIND, let=(409,))
        except HfHubHTTPError as error:
            if self._tags().get(self.local.version) != commit:  # where it is our own, the answer to the first request was lost
                raise PublishError(
                    f"Somebody else tagged {self.to} with {self.local.version} while {self.local.name} was sent. Look at it, and run the same command again."
                ) from error

    # --- asking

    def _ask(self, what: str, function: Callable[..., Any], *given: Any, let: tuple[int, ...] = (), **named: Any) -> Any:
        """Ask the client, and again where the answer may be better next time: its own retries do not cover every request.

        Errors with a status in `let` are the caller's to understand; the others come out as PublishError.
        """
        for wait in (*_WAITS, None):
            try:
                return function(*given, **named)
            except _client_errors() as error:
                status = _status(error)
                if status in let:
                    raise
                if wait is None or status not in _TRANSIENT:
                    raise _told(what, error, self.to, self.endpoint) from error
                time.sleep(wait)
        raise AssertionError("the last round returns or raises")


def _client_errors() -> tuple[type[Exception], ...]:
    """What the client and its Xet engine raise."""
    import httpx2
    from huggingface_hub.errors import OIDCError

    return (httpx2.HTTPError, OIDCError, OSError, RuntimeError, ValueError)


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error; 0 where no answer came; None where it is of another kind."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HfHubHTTPError):
            return int(seen.response.status_code)
        if isinstance(seen, ConnectionError) and not isinstance(seen, OfflineModeIsEnabled):  # of the Xet engine, which says the status in words
            found = re.search(r"HTTP status \w+ error \((\d{3})", str(seen))
            return int(found[1]) if found else 0
        if isinstance(seen, httpx2.TransportError):
            return 0
        seen = seen.__cause__ or seen.__context__
    return None


def _told(what: str, error: Exception, to: str, endpoint: str) -> PublishError:
    """An error of the client for a person: what could not be done, why, and what would do."""
    status, said = _status(error), " ".join(str(getattr(error, "server_message", None) or error).split())[:300].rstrip(".")
    match status:
        case 0:
            why = f"{endpoint} does not answer ({said}). Check the network and HF_ENDPOINT; what was sent is kept, so run the same command again."
        case 401:
            why = f"the Hub refuses the token (401: {said}). Log in again with `hf auth login`, or set HF_TOKEN to a valid one."
        case 403:
            why = f"the token may not (403: {said}). It needs write access to {to.partition('/')[0]}: {endpoint}/settings/tokens."
        case _:
            again = (
                "run the same command again to go on" if status in (None, *_TRANSIENT) else f"look at {endpoint}/datasets/{to}, and run the same command again"
            )
            why = f"{f'{status}: ' if status else ''}{said}. What was sent is kept: {again}."
    return PublishError(f"Could not {what}: {why}")


# --- in words ---------------------------------------------------------------------------------------------------------------


def _size(files: Iterable[File]) -> str:
    return f"{sum(f.size for f in files) / 1e6:,.2f} MB"


def _some(names: Iterable[str], between: str = ", ") -> str:
    """The first few of them."""
    names = list(names)
    return between.join(names[:5]) + (f"{between}and {len(names) - 5:,} more" if len(names) > 5 else "")
