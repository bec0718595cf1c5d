"""Publishing to a Hub that stores what comes and refuses what the real one refuses."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiseki.hub.plan import Plan, is_public, make_plan
from kiseki.hub.refusal import HubError, HubUnreachable
from kiseki.hub.repository import connect, look_up
from kiseki.hub.upload import Published, upload
from kiseki.report.dossier import gather
from kiseki.run_folder import RunFolder
from unit.kiseki.hub.hub_server import READER, Call, HubServer

Record = Callable[..., Path]

# huggingface_hub 2.4 gives httpx2 a file as `data` when it puts an LFS object
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture
def workspaces(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / f"workspace-{number}" for number in range(10))


def planned(root: Path, workspace: Path, card_before: str | None = None, language: str = "en") -> Plan:
    workspace.mkdir()
    dossier = gather(RunFolder(root))
    return make_plan(dossier, repo_id="org/tiny", language=language, card_before=card_before, workspace=workspace)


def published(root: Path, workspaces: Iterator[Path], **options: bool) -> Published:
    api = connect()
    repository = look_up(api, "org/tiny")
    return upload(api, planned(root, next(workspaces), repository.card), repository, **options)


def test_a_new_repository_is_private_and_gets_everything_in_one_commit(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    root = record()
    plan = planned(root, next(workspaces))
    api = connect()
    done = upload(api, plan, look_up(api, "org/tiny"))
    stored = hub.repositories["org/tiny"]
    assert stored.private
    assert len(stored.commits) == 2
    assert stored.messages[-1] == "kiseki: record of run run-1"
    assert (done.url, done.changed) == (f"{hub.endpoint}/org/tiny/commit/{stored.sha}", True)
    there = {path: hashlib.sha256(content).hexdigest() for path, content in stored.head.items()}
    there.pop(".gitattributes")
    assert there == {file.path: file.sha256 for file in plan.files}
    assert stored.head["README.md"].decode() == plan.card


def test_only_chosen_files_go(hub: HubServer, record: Record, workspaces: Iterator[Path]) -> None:
    root = record()
    for name in (
        "poc_report_20260101_000000.json",
        "poc_report_20260102_000000.json",
        "poc_report_20260102_000000_2.json",
    ):
        (root / "poc_reports").mkdir(exist_ok=True)
        (root / "poc_reports" / name).write_text("{}")
    (root / "poc_reports" / "poc_summary_20260102_000000_2.csv").write_text("")
    (root / "poc_reports" / "pack.zip").write_text("")
    published(root, workspaces)
    assert sorted(hub.repositories["org/tiny"].head) == [
        ".gitattributes",
        "README.md",
        "metrics/evaluation_metrics.csv",
        "metrics/evaluation_metrics.json",
        "metrics/training_metrics.csv",
        "metrics/training_metrics.json",
        "plots/training_curves.png",
        "poc_reports/poc_report_20260102_000000_2.json",
        "poc_reports/poc_summary_20260102_000000_2.csv",
        next(path for path in hub.repositories["org/tiny"].head if path.startswith("runs/events.out.tfevents.")),
    ]


def test_a_public_run_shows_its_configuration_without_secrets_and_paths(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    root = record("public")
    assert is_public(gather(RunFolder(root)))
    published(root, workspaces, public=True)
    stored = hub.repositories["org/tiny"]
    assert not stored.private
    config = json.loads(stored.head["metrics/config.redacted.json"])
    assert config["api_key"] == "[redacted]"
    assert config["data"]["eval_data"] == "eval.jsonl"
    assert b"salt" not in stored.head["metrics/config.redacted.json"]
    for content in stored.head.values():
        assert b"hf_abcdefghijklmnopqrstuvwx" not in content
        assert b"/srv/secret" not in content


def test_publishing_the_same_again_makes_no_commit(hub: HubServer, record: Record, workspaces: Iterator[Path]) -> None:
    root = record()
    published(root, workspaces)
    again = published(root, workspaces)
    stored = hub.repositories["org/tiny"]
    assert (again.changed, len(stored.commits)) == (False, 2)


def test_what_a_person_wrote_between_two_uploads_stays(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    root = record()
    published(root, workspaces)
    stored = hub.repositories["org/tiny"]
    card = (
        stored.head["README.md"]
        .decode()
        .replace("---\n\n<!--", "license: mit  # as the board decided\n---\n\nHand-written.\n<!--", 1)
    )
    stored.put("README.md", card.encode())
    stored.put("adapter_model.safetensors", b"weights")
    published(root, workspaces)
    assert stored.head["README.md"].decode() == card
    assert stored.head["adapter_model.safetensors"] == b"weights"


def test_a_picture_goes_through_lfs_where_the_hub_says_so(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    hub.lfs_over = 1000
    root = record()
    published(root, workspaces)
    stored = hub.repositories["org/tiny"]
    assert stored.lfs == {"plots/training_curves.png"}
    assert stored.head["plots/training_curves.png"] == (root / "plots/training_curves.png").read_bytes()
    assert not published(root, workspaces).changed


def test_a_pull_request_leaves_main_as_it_is(
    hub: HubServer, record: Record, workspaces: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = hub.made("org/tiny", private=False, README__md="# theirs\n")
    monkeypatch.setenv("HF_TOKEN", READER)
    done = published(record("public"), workspaces, public=True, create_pr=True)
    assert done.url == f"{hub.endpoint}/org/tiny/discussions/1"
    assert stored.head["README.md"] == b"# theirs\n"
    [proposed] = stored.pull_requests
    assert b"\n# theirs\n" in proposed["README.md"]
    assert b"<!-- kiseki:begin -->" in proposed["README.md"]


def test_a_pull_request_needs_a_repository(hub: HubServer, record: Record, workspaces: Iterator[Path]) -> None:
    with pytest.raises(HubError, match="no such repository"):
        published(record(), workspaces, create_pr=True)
    assert not hub.repositories


def test_a_public_repository_is_not_written_to_unless_that_was_said(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    stored = hub.made("org/tiny", private=False)
    with pytest.raises(HubError, match="--public"):
        published(record(), workspaces)
    assert len(stored.commits) == 1


@pytest.mark.parametrize(("method", "path"), [("PUT", "/lfs/"), ("POST", "/lfs-verify"), ("POST", "/commit/")])
@pytest.mark.parametrize("status", [400, 403])
def test_a_failure_half_way_leaves_nothing_half_written(
    method: str, path: str, status: int, hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    stored = hub.made("org/tiny", README__md="# before\n")
    before = dict(stored.head)
    hub.lfs_over = 1000
    hub.broken[method, path] = status
    root = record()
    with pytest.raises(HubError, match="org/tiny"):
        published(root, workspaces)
    assert stored.head == before
    hub.broken.clear()
    assert published(root, workspaces).changed
    assert len(stored.commits) == 3


def test_somebody_who_commits_meanwhile_is_not_overwritten(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    stored = hub.made("org/tiny", README__md="# before\n")

    def edit(call: Call) -> None:
        if "preupload" in call.path:
            stored.put("README.md", b"# meanwhile\n")

    hub.before = edit
    with pytest.raises(HubError, match="changed meanwhile"):
        published(record(), workspaces)
    assert stored.head["README.md"] == b"# meanwhile\n"


def test_a_repository_that_appears_meanwhile_is_not_overwritten(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    def make(call: Call) -> None:
        if call.path == "/api/repos/create" and not hub.repositories:
            hub.made("org/tiny", README__md="# somebody was quicker\n")

    hub.before = make
    with pytest.raises(HubError, match="changed meanwhile"):
        published(record(), workspaces)
    assert hub.repositories["org/tiny"].head["README.md"] == b"# somebody was quicker\n"


@pytest.mark.parametrize(
    ("token", "expected"),
    [("hf_nobodyknowsthistoken", "does not accept the token"), (READER, "may not do this"), (None, "does not accept")],
)
def test_without_the_right_token_the_answer_says_what_to_do(
    token: str | None,
    expected: str,
    hub: HubServer,
    record: Record,
    workspaces: Iterator[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_TOKEN") if token is None else monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError, match=expected) as refused:
        published(record(), workspaces)
    assert "hf_" not in str(refused.value).replace("hf auth login", "")
    assert "\n" not in str(refused.value)
    assert not hub.repositories


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, "no such model repository"), (409, "meanwhile"), (413, "too large"), (500, "out of order")],
)
def test_every_refusal_is_one_line(
    status: int, expected: str, hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    hub.made("org/tiny")
    hub.broken["POST", "/commit/"] = status
    with pytest.raises(HubError, match=expected) as refused:
        published(record(), workspaces)
    assert "\n" not in str(refused.value)
    assert len(hub.repositories["org/tiny"].commits) == 1


def test_metadata_that_the_hub_refuses_is_said_before_anything_is_sent(
    hub: HubServer, record: Record, workspaces: Iterator[Path]
) -> None:
    hub.made("org/tiny", README__md="---\nlicense: refused-by-the-hub\n---\n")
    with pytest.raises(HubError, match="must be one of"):
        published(record(), workspaces)
    assert not any("preupload" in path for path in hub.paths("POST"))


def test_a_hub_that_is_not_there_is_said_so(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnreachable, match="cannot be reached"):
        look_up(connect(), "org/tiny")


def test_offline_mode_is_said_so(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachable, match="HF_HUB_OFFLINE"):
        look_up(connect(), "org/tiny")


def test_planning_changes_nothing_in_the_run(record: Record, workspaces: Iterator[Path]) -> None:
    root = record("public")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    planned(root, next(workspaces))
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
