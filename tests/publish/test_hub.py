"""publish: the real client against a server that speaks the Hub's API, in its Xet and its LFS mode, through faults, kills and other people's commits.

Xet is the client's default and runs in this process; LFS is chosen by an environment variable that it reads on import, so it runs in a child.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import get_token

from pipeline.errors import PublishError, ReleaseExists, StoreError
from pipeline.publish import hub as hub_module
from pipeline.publish.hub import Publication, publish
from tests.publish.fake_hub import READ_TOKEN, TOKEN, FakeHub, sha256
from tests.running import ENVIRONMENT, Finished

NAME = "org/corpus"
WRITES = r"POST .*/(create|commit/|tag/)|POST .*preupload|PUT "
TOLERATED = {"GET /api/agent-harnesses", "POST /v1/telemetry"}  # asked by the client for its own ends, answered by 404, and not missed
CHILD = """
import sys, types
sys.modules["pipeline.publish.verify"] = types.SimpleNamespace(verify=lambda path, cpus=1: types.SimpleNamespace(problems=[]))
from pipeline.errors import PipelineError
from pipeline.publish import hub
hub._WAITS = (0.05, 0.1)
for release in sys.argv[2:]:
    try:
        print("OK", hub.publish(release, sys.argv[1]).already)
    except PipelineError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="session")
def release(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of the small sample with a card beside it, as `python -m pipeline card` leaves it."""
    folder = tmp_path_factory.mktemp("publish") / finished.name
    shutil.copytree(finished.release.path, folder)
    write_card(folder, finished.release.domains)
    return folder


def write_card(folder: Path, domains: list[str]) -> None:
    """A card as small as one can be: what `load_dataset` goes by."""
    configs = "".join(
        f"- config_name: {d}\n  data_files:\n  - split: train\n    path: data/{d}/*.parquet\n  - split: validation\n    path: validation/{d}/*.parquet\n"
        for d in domains
    )
    (folder / "README.md").write_text(f"---\nlicense: other\nconfigs:\n{configs}---\n# A corpus\n")
    (folder / "README.zh-CN.md").write_text("# 语料库\n")
    (folder / "croissant.json").write_text("{}\n")
    (folder / "figures").mkdir()
    (folder / "figures/funnel.svg").write_text("<svg/>")


def successor(release: Path, folder: Path, version: str = "9.9") -> Path:
    """Another version: a shard less, a shard more, a shard of the same name with other content."""
    new = folder / f"{release.name.partition('@')[0]}@{version}"
    shutil.copytree(release, new)
    manifest = json.loads((new / "manifest.json").read_text())
    first, second, *_ = sorted(f for f in manifest["files"] if f.startswith("data/"))
    (new / first).unlink()
    (new / second).write_bytes((release / first).read_bytes())
    added = first.replace("00000-of-00001", "00000-of-00002")
    (new / added).write_bytes((release / second).read_bytes())
    del manifest["files"][first]
    manifest["files"] |= {f: {"sha256": sha256((new / f).read_bytes())} for f in (second, added)}
    manifest["version"] = version
    (new / "manifest.json").write_text(json.dumps(manifest))
    return new


def content(folder: Path) -> dict[str, tuple[str, bool]]:
    """What the Hub must show for a release: sha256 and whether it is LFS, by path; its own .gitattributes too."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {f: (sha256(data), f.endswith(".parquet")) for f, data in files.items()}


def shown(hub: FakeHub, ref: str, name: str = NAME) -> dict[str, tuple[str, bool]]:
    """What the server holds at `main` or a tag."""
    tree = dict(hub.state(name)[ref])
    assert tree.pop(".gitattributes")
    return tree


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The client's Xet engine keeps its logs and shards out of the home folder, and does not wait seconds before it tries again."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in engine(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, value)
        patch.delenv("HF_TOKEN", raising=False)
        yield


def engine(home: Path) -> dict[str, str]:
    return {"HF_HOME": str(home), "HF_XET_CACHE": f"{home}/xet", "HF_XET_CLIENT_RETRY_BASE_DELAY": "20ms", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification has tests of its own; here it finds nothing, but in the one test that asks for it. And our own waits are short."""
    monkeypatch.setattr("pipeline.publish.verify.verify", lambda path, cpus=1: SimpleNamespace(problems=[]))
    monkeypatch.setattr(hub_module, "_WAITS", (0.01, 0.02))


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server
    assert server.unknown <= TOLERATED


def send(hub: FakeHub, release: Path, to: str = NAME, **options: Any) -> Publication:
    """publish, in this process: Xet."""
    token = options.pop("token", TOKEN)
    if token is None and get_token():
        pytest.skip("somebody is logged in to the Hub on this machine")
    return publish(str(release), to, endpoint=hub.url, token=token, **options)


def child(hub: FakeHub, *releases: Path, xet: bool, home: Path, to: str = NAME) -> subprocess.Popen[str]:
    """publish, in a process of its own."""
    environment = {**ENVIRONMENT, **engine(home), "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "0" if xet else "1"}
    return subprocess.Popen([sys.executable, "-c", CHILD, to, *map(str, releases)], env=environment, stdout=subprocess.PIPE, text=True)


def send_by_lfs(hub: FakeHub, *releases: Path, home: Path, to: str = NAME) -> list[str]:
    """publish in LFS mode, one release after the other; a line each: OK and whether it was published already, or the error."""
    process = child(hub, *releases, xet=False, home=home, to=to)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.splitlines()


# --- published, and again ---------------------------------------------------------------------------------------------------


def test_a_release_is_published_whole_and_once(hub: FakeHub, release: Path) -> None:
    said: list[str] = []
    done = send(hub, release, say=said.append)
    version = release.name.partition("@")[2]
    assert shown(hub, version) == shown(hub, "main") == content(release)
    assert (done.already, done.dry_run, done.removed, done.others) == (False, False, (), ())
    assert {f.path for f in done.sent} == set(content(release)) and done.commit in hub.repositories[NAME].tags.values()
    assert hub.asked("PUT /xorbs") and not hub.asked("lfs"), "the client was in its Xet mode"
    assert said[0].startswith("Verifying") and any(s.startswith("Sending 0.") for s in said)

    before = len(hub.requests)
    again = send(hub, release)
    assert again.already and "already published" in str(again)
    assert not [r for r in hub.requests[before:] if r.startswith("PUT") or any(w in r for w in ("commit/", "/tag/", "create", "preupload"))]


def test_a_release_is_published_whole_by_lfs(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    assert send_by_lfs(hub, release, release, home=tmp_path) == ["OK False", "OK True"]
    version = release.name.partition("@")[2]
    assert shown(hub, version) == shown(hub, "main") == content(release)
    assert hub.asked(r"PUT /lfs/\w+/\d+ 200") and hub.asked(r"PUT /lfs/\w+/part/2 200") and hub.asked("complete 200"), "in one piece, and in parts"
    assert len(hub.asked("objects/verify 200")) == len(hub.asked(r"PUT /lfs/\w+/\d+ 200")) + len(hub.asked("complete 200"))
    assert not hub.asked("cas/|xet-")


def test_data_come_first_then_the_card_and_the_manifest_then_the_tag(hub: FakeHub, release: Path) -> None:
    send(hub, release)
    repository = hub.repositories[NAME]
    _, data, last = repository.commits
    added = {path for path, blob in last.tree.items() if data.tree.get(path) != blob}
    assert added == {"README.md", "README.zh-CN.md", "croissant.json", "figures/funnel.svg", "manifest.json"}
    assert repository.tags == {release.name.partition("@")[2]: last.oid}
    order = [next(i for i, r in enumerate(hub.requests) if p in r) for p in ("validate-yaml", "repos/create", "preupload", "/commit/main", "/tag/")]
    assert order == sorted(order)
    assert "/tree/" in hub.requests[order[-1] - 1], "the tree is compared before the tag is set"


def test_a_new_version_replaces_removes_and_leaves(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    send(hub, release)
    hub.commit(NAME, "a licence, by hand", {"LICENSE": b"terms", "docs/notes.txt": b"notes"})
    new = successor(release, tmp_path)
    seen = send(hub, new, dry_run=True)
    done = send(hub, new)
    gone = set(content(release)) - set(content(new))
    assert set(done.removed) == set(seen.removed) == gone and len(gone) == 1
    assert done.others == seen.others == ("LICENSE", "docs/notes.txt")
    assert {p: v for p, v in shown(hub, "9.9").items() if p not in done.others} == content(new)
    assert shown(hub, release.name.partition("@")[2]) == content(release), "the older version stays as it was"
    *_, data, last = hub.repositories[NAME].commits
    assert gone <= set(data.tree) and not gone & set(last.tree), "removed in the commit of the manifest"
    assert {f.path for f in done.sent} == {f.path for f in seen.sent} < set(content(new)), "what is the same is not sent again"


def test_a_version_is_not_published_twice_with_other_content(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    send(hub, release)
    version = release.name.partition("@")[2]
    before, other = hub.state(NAME), successor(release, tmp_path, version)
    for dry_run in (True, False):
        with pytest.raises(ReleaseExists, match=rf"has a version {version} with other content \(data/.*give the recipe another version"):
            send(hub, other, dry_run=dry_run)
    assert hub.state(NAME) == before


def test_another_card_of_a_published_version_is_noted(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    send(hub, release)
    mine = Path(shutil.copytree(release, tmp_path / release.name))
    (mine / "README.md").write_text("# Another card\n")
    done = send(hub, mine)
    assert done.already and "Its card there is another one (README.md)" in str(done)


def test_many_files_take_several_commits(hub: FakeHub, tmp_path: Path) -> None:
    many = tmp_path / "many@1"
    (many / "data").mkdir(parents=True)
    files = {f"data/{i:03}.json": f"{i}".encode() for i in range(300)}
    for path, data in files.items():
        (many / path).write_bytes(data)
    (many / "README.md").write_text("# Many\n")
    (many / "data/.DS_Store").write_text("nobody's")  # in no manifest
    (many / "manifest.json").write_text(json.dumps({"name": "many", "version": "1", "files": {f: {"sha256": sha256(d)} for f, d in files.items()}}))
    hub.page = 100
    send(hub, many)
    assert [c.title.partition(": ")[2] for c in hub.repositories[NAME].commits[1:]] == ["data", "data (part 2)", "card and manifest"]
    assert set(shown(hub, "1")) == {*files, "README.md", "manifest.json"}


# --- looking, and asking first ----------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_lists_what_it_would(hub: FakeHub, release: Path) -> None:
    done = send(hub, release, dry_run=True)
    assert done.dry_run and NAME not in hub.repositories and not hub.asked(WRITES)
    size = sum(f.stat().st_size for f in release.rglob("*") if f.is_file())
    assert sum(f.size for f in done.sent) == size
    text = str(done)
    assert "README.md" in text and f"{size / 1e6:.2f} MB in {len(content(release))} files to send" in text and f"The repository {NAME} would be made" in text

    hub.create(NAME)
    assert len(send(hub, release, dry_run=True).sent) == len(content(release)) and not hub.asked(WRITES)
    send(hub, release)
    assert send(hub, release, dry_run=True).already


def test_a_dry_run_without_a_token_looks_at_the_release_only(hub: FakeHub, release: Path) -> None:
    done = send(hub, release, dry_run=True, token=None)
    assert "There is no token" in str(done) and len(done.sent) == len(content(release)) and not hub.requests


def test_private_is_private(hub: FakeHub, release: Path) -> None:
    send(hub, release, private=True)
    assert hub.repositories[NAME].private
    hub.create("org/public")
    with pytest.raises(PublishError, match="org/public exists and is public, so --private would not hold"):
        send(hub, release, "org/public", private=True)
    assert hub.repositories["org/public"].commits[-1].title == "initial commit"


@pytest.mark.parametrize(
    ("to", "options", "sentence"),
    [
        ("corpus", {}, "'corpus' is no name of a data set. Write ORG/NAME"),
        ("datasets/org/corpus", {}, "is no name of a data set"),
        ("org/-corpus", {}, "is no name of a data set"),
        ("org/a..b", {}, "is no name of a data set"),
        ("org/a.git", {}, "is no name of a data set"),
        (NAME, {"token": None}, "There is no token to write to org/corpus.*hf auth login"),
        (NAME, {"token": "hf_nonsense"}, r"Could not check the token: the Hub refuses the token \(401.*hf auth login"),
        (NAME, {"token": READ_TOKEN}, "The token may read only. Make one with write access at http"),
        ("strangers/corpus", {}, r"Could not make strangers/corpus: the token may not \(403.*write access to strangers"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(hub: FakeHub, release: Path, to: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PublishError, match=sentence):
        send(hub, release, to, **options)
    assert not hub.asked(WRITES.replace("create|", "")) and not hub.repositories


def test_no_network_is_said_in_a_sentence(release: Path) -> None:
    with FakeHub() as server:
        endpoint = server.url
    with pytest.raises(PublishError, match=f"{endpoint} does not answer.*run the same command again"):
        publish(str(release), NAME, endpoint=endpoint, token=TOKEN)


def test_a_release_without_a_card_or_with_a_bad_one_is_not_sent(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(release, tmp_path / release.name))
    (mine / "README.md").write_text("---\nlicense: [\n---\n")
    for dry_run in (True, False):
        with pytest.raises(PublishError, match=r"refuses the front matter of .*README.md: Invalid YAML.*python -m pipeline card"):
            send(hub, mine, dry_run=dry_run)
    (mine / "README.md").unlink()
    with pytest.raises(PublishError, match=r"has no README.md.*python -m pipeline card"):
        send(hub, mine)
    assert not hub.asked(WRITES)


def test_what_fails_verification_is_never_sent(hub: FakeHub, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real `verify`
    mine = Path(shutil.copytree(release, tmp_path / release.name))
    file = next((mine / "validation").rglob("*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(PublishError, match=f"nothing was sent: .*{file.name}.*Make the release again"):
        send(hub, mine)
    file.unlink()
    with pytest.raises(PublishError, match=r"is not whole: validation/.* is missing"):
        send(hub, mine)
    with pytest.raises(StoreError, match="no release at"):
        send(hub, tmp_path)
    with pytest.raises(PublishError, match="is not on a disk of this machine"):
        publish("s3://bucket/skypile@1", NAME, token=TOKEN)
    assert not hub.requests


def test_a_version_that_is_no_tag_is_refused(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"version '1\.\.2' .* cannot be a git tag"):
        send(hub, successor(release, tmp_path, "1..2"))


# --- other people -----------------------------------------------------------------------------------------------------------


def test_a_repository_of_something_else_is_not_overwritten(hub: FakeHub, release: Path) -> None:
    hub.create(NAME)
    hub.commit(NAME, "my data", {"data/mine.txt": b"mine", "README.md": b"# Mine"})
    for dry_run in (True, False):
        with pytest.raises(PublishError, match=r"holds files that no release of skypile wrote \(data/mine.txt\)"):
            send(hub, release, dry_run=dry_run)
    hub.create("org/other")
    hub.commit("org/other", "theirs", {"manifest.json": b'{"name": "other", "version": "3", "files": {}}'})
    with pytest.raises(PublishError, match="holds the release other@3"):
        send(hub, release, "org/other")
    assert not hub.asked(WRITES)


def test_an_empty_repository_with_a_page_is_taken(hub: FakeHub, release: Path) -> None:
    hub.create(NAME)
    hub.commit(NAME, "soon", {"README.md": b"# Soon", "LICENSE": b"terms"})
    assert send(hub, release).others == ("LICENSE",)


@pytest.mark.parametrize(("pattern", "skip"), [("GET .*/xet-write-token", 0), ("POST .*/commit/main", 0), ("POST .*/commit/main", 1)])
def test_a_remote_that_changes_meanwhile_is_refused(hub: FakeHub, release: Path, pattern: str, skip: int) -> None:
    hub.create(NAME)
    hub.fail(pattern, lambda: hub.commit(NAME, "not yours", {"notes.txt": b"?"}) and None, skip=skip)
    with pytest.raises(PublishError, match=r"was changed while .* was sent: commit .*'not yours'.*It has no tag yet"):
        send(hub, release)
    assert not hub.repositories[NAME].tags
    assert send(hub, release).others == ("notes.txt",), "run again, it starts from what is there"
    assert {**content(release), "notes.txt": (sha256(b"?"), False)} == shown(hub, "main")


def test_a_commit_between_two_of_ours_is_seen(hub: FakeHub, release: Path) -> None:
    hub.fail("GET /api/datasets/org/corpus/commits", lambda: hub.commit(NAME, "not yours", {"notes.txt": b"?"}) and None)
    with pytest.raises(PublishError, match="was changed while"):
        send(hub, release)


def test_a_tag_that_somebody_else_sets_meanwhile_is_not_ours(hub: FakeHub, release: Path) -> None:
    version = release.name.partition("@")[2]
    hub.fail("POST .*/tag/", lambda: hub.repositories[NAME].tags.update({version: hub.repositories[NAME].commits[0].oid}))
    with pytest.raises(PublishError, match=f"Somebody else tagged {NAME} with {version}"):
        send(hub, release)
    with pytest.raises(ReleaseExists):
        send(hub, release)


def test_a_tag_that_was_moved_is_seen(hub: FakeHub, release: Path) -> None:
    send(hub, release)
    version = release.name.partition("@")[2]
    broken = hub.commit(NAME, "oops", {next(f for f in content(release) if f.startswith("data/")): None})
    hub.repositories[NAME].tags[version] = broken.oid
    with pytest.raises(PublishError, match=r"has this release's manifest, but not its content: data/.*Somebody moved the tag"):
        send(hub, release)


def test_a_file_that_changes_after_verification_gets_no_tag(hub: FakeHub, release: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(release, tmp_path / release.name))
    file = next((mine / "data").rglob("*.parquet"))
    hub.fail("POST .*preupload", lambda: file.write_bytes(b"!" + file.read_bytes()[1:]) and None)
    with pytest.raises(PublishError, match=f"does not hold what the manifest of .* says: data/.*{file.name} is another file.*It got no tag"):
        send(hub, mine)
    assert not hub.repositories[NAME].tags


# --- faults -----------------------------------------------------------------------------------------------------------------

EVERY_REQUEST = ("whoami", "repos/create", "GET .*/refs", "GET .*/tree/", "validate-yaml", "POST .*/commit/main", "GET .*/commits/", "POST .*/tag/")


@pytest.mark.parametrize("kind", [503, "drop", "lose"])
def test_every_request_may_fail_once(hub: FakeHub, release: Path, kind: int | str) -> None:
    for pattern in (*EVERY_REQUEST, "preupload", "xet-write-token", "xorb-grants", "PUT /xorbs", "xorb-commits", "POST /cas/v2/shards"):
        hub.fail(pattern, kind)
    hub.fail("POST .*/commit/main", kind, skip=1)
    send(hub, release)
    assert not [f for f in hub.faults if f.times], "every fault struck"
    assert shown(hub, release.name.partition("@")[2]) == content(release)
    titles = [c.title.partition(": ")[2] for c in hub.repositories[NAME].commits[1:]]
    assert titles == ["data", "card and manifest"], "nothing was committed twice"


@pytest.mark.parametrize("kind", [503, "lose"])
def test_every_request_may_fail_once_by_lfs(hub: FakeHub, release: Path, tmp_path: Path, kind: int | str) -> None:
    for pattern in (*EVERY_REQUEST, "preupload", "objects/batch", r"PUT /lfs/\w+/\d+", r"PUT /lfs/\w+/part", "complete", "objects/verify"):
        hub.fail(pattern, kind)
    hub.fail("POST .*/commit/main", kind, skip=1)
    assert send_by_lfs(hub, release, home=tmp_path) == ["OK False"]
    assert not [f for f in hub.faults if f.times], "every fault struck"
    assert shown(hub, release.name.partition("@")[2]) == content(release)
    assert len(hub.repositories[NAME].commits) == 3


@pytest.mark.parametrize("pattern", ["xet-write-token", "xorb-grants", "POST .*/commit/main", "POST .*/tag/"])
def test_a_token_refused_in_the_middle_is_said_and_the_next_run_goes_on(hub: FakeHub, release: Path, pattern: str) -> None:
    hub.fail(pattern, 401, times=99)
    with pytest.raises(PublishError, match=r"Could not (send the data|tag org/corpus): the Hub refuses the token \(401.*hf auth login"):
        send(hub, release)
    hub.faults.clear()
    assert send(hub, release).commit and shown(hub, release.name.partition("@")[2]) == content(release)


def test_a_hub_that_is_down_for_good_is_said(hub: FakeHub, release: Path) -> None:
    hub.fail("GET .*/refs", 503, times=99)
    hub.create(NAME)
    with pytest.raises(PublishError, match=r"Could not list the tags of org/corpus: 503: injected.*run the same command again to go on"):
        send(hub, release)


@pytest.mark.parametrize(
    ("pattern", "status"), [*((p, 418) for p in EVERY_REQUEST), ("preupload", 404), ("xet-write-token", 404), ("POST /cas/v2/shards", 400)]
)
def test_whatever_the_hub_refuses_is_one_sentence(hub: FakeHub, release: Path, pattern: str, status: int) -> None:
    hub.fail(pattern, status, times=99)
    with pytest.raises(PublishError, match=r"^(Could not|The Hub refuses) [^\n]*\.$"):
        send(hub, release)


# --- killed -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xet", [True, False], ids=["xet", "lfs"])
def test_killed_anywhere_and_run_again_it_ends_in_the_same_state(release: Path, tmp_path: Path, xet: bool) -> None:
    """One run after the other is killed a little later than the last: in the middle of an upload, before and after a commit, after the tag."""
    points = [
        ("POST /cas/v2/shards" if xet else r"PUT /lfs/\w+/part/2", "drop"),  # some data are stored, and in no commit
        ("POST .*/commit/main", "lose"),  # data are committed
        ("POST .*/commit/main", "lose"),  # card and manifest, too
        ("POST .*/tag/", "lose"),
    ]
    with FakeHub() as server:
        for pattern, then in points:
            process = child(server, release, xet=xet, home=tmp_path)
            server.fail(pattern, killing(process, then))
            process.communicate(timeout=120)
            assert process.returncode == -signal.SIGKILL
        assert server.repositories[NAME].tags, "the last one was killed after the tag"
        assert send(server, release).already
        state, commits, received = server.state(NAME), len(server.repositories[NAME].commits), server.received_bytes
    with FakeHub() as unharmed:
        send(unharmed, release)
        assert state == unharmed.state(NAME)
        assert commits == len(unharmed.repositories[NAME].commits)
    if not xet:  # Xet asks for single chunks there, which this server never knows
        assert received < 1.5 * sum(p.stat().st_size for p in release.rglob("*.parquet")), "what was stored is not sent again"


def killing(process: subprocess.Popen[str], then: str | None) -> Callable[[], str | None]:
    def kill() -> str | None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return then

    return kill


# --- read back --------------------------------------------------------------------------------------------------------------

READER = """
import sys
import datasets, pyarrow.parquet as pq
name, revision, folder = sys.argv[1:4]
for domain in sys.argv[4:]:
    whole = datasets.load_dataset(name, domain, revision=revision)
    streamed = datasets.load_dataset(name, domain, revision=revision, streaming=True)
    assert set(whole) == set(streamed) == {"train", "validation"}, (whole, streamed)
    for split, place in (("train", "data"), ("validation", "validation")):
        rows = pq.read_table(f"{folder}/{place}/{domain}").to_pylist()
        assert whole[split].to_list() == rows, (domain, split)
        assert list(streamed[split]) == rows, (domain, split, "streamed")
        print(domain, split, len(rows))
"""


@pytest.mark.parametrize("xet", [True, False], ids=["xet", "lfs"])
def test_load_dataset_reads_every_row_streaming_and_not(hub: FakeHub, finished: Finished, release: Path, tmp_path: Path, xet: bool) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")
    send(hub, release) if xet else send_by_lfs(hub, release, home=tmp_path)
    environment = {**os.environ, **engine(tmp_path), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "0" if xet else "1", "HF_DATASETS_CACHE": f"{tmp_path}/sets"}
    version, domains = release.name.partition("@")[2], finished.release.domains
    done = subprocess.run(
        [sys.executable, "-c", READER, NAME, version, str(release), *domains], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    read = {tuple(line.split()[:2]): int(line.split()[2]) for line in done.stdout.splitlines()}
    assert set(read) == {(d, s) for d in domains for s in ("train", "validation")} and all(read.values())
    assert bool(hub.asked("GET /cas/v2/reconstructions/.* 200")) == xet
    assert hub.asked("GET /objects/.* 206"), "a stream reads ranges"


def test_the_server_answers_as_the_client_reads_it(hub: FakeHub, release: Path) -> None:
    """What no publication asks, and readers do: paths, expanded and paginated trees, ranges, and errors by their kind."""
    from huggingface_hub import HfApi, HfFileSystem
    from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    send(hub, release, private=True)
    api = HfApi(endpoint=hub.url, token=TOKEN)
    paths = sorted(content(release))
    found = {f.path: f for f in api.get_paths_info(NAME, [*paths, "data", "absent"], repo_type="dataset", expand=True)}
    assert set(found) == {*paths, "data"} and found["README.md"].last_commit
    tree = {f.path: f for f in api.list_repo_tree(NAME, "data", repo_type="dataset", recursive=True, expand=True) if hasattr(f, "size")}
    assert set(tree) == {p for p in paths if p.startswith("data/")} and all(f.lfs and f.xet_hash for f in tree.values())
    file = next(iter(tree))
    with HfFileSystem(endpoint=hub.url, token=TOKEN).open(f"datasets/{NAME}/{file}") as handle:
        handle.seek(-4, os.SEEK_END)
        assert handle.read() == b"PAR1"
    assert api.file_exists(NAME, file, repo_type="dataset") and not api.file_exists(NAME, "absent", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(NAME, revision="never")
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(NAME, "absent", repo_type="dataset"))
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).dataset_info(NAME)
    with pytest.raises(HfHubHTTPError, match="write token"):
        HfApi(endpoint=hub.url, token=READ_TOKEN).create_tag(NAME, tag="mine", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="already"):
        api.create_repo(NAME, repo_type="dataset")
