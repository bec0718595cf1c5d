"""`kiseki publish`: the record, its report and a model card on the Hugging Face Hub."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kiseki.cli.run_argument import run_argument, run_folder
from kiseki.errors import RunFolderError, UsageError
from kiseki.run_folder import RunFolder
from kiseki.telling import counted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from kiseki.hub.plan import Plan
    from kiseki.hub.repository import Repository

_QUIET_SECONDS = 2.0


@click.command(short_help="Put RUN's record, report and model card on the Hugging Face Hub.")
@run_argument
@click.option(
    "--repo-id", required=True, metavar="ORG/NAME", help="Model repository; made, private, where there is none."
)
@click.option("--yes", is_flag=True, help="Upload. Without it nothing is sent, only shown.")
@click.option("--create-pr", is_flag=True, help="Propose it as a pull request: for a repository of somebody else.")
@click.option("--public", is_flag=True, help="Anyone may read it: make a public repository, or upload to one.")
@click.option("--lang", type=click.Choice(["ja", "en"]), help="Language of the card; the run's own by default.")
def publish(run: Path, repo_id: str, yes: bool, create_pr: bool, public: bool, lang: str | None) -> None:
    """Put the metrics, curves, newest report and a model card of RUN on the Hugging Face Hub.

    Shows what would be uploaded and how README.md would change; --yes uploads it in one commit. What people wrote in
    README.md stays. Never uploaded: the journal, checkpoints, logits, data, secrets. The token is the one of
    `hf auth login` or HF_TOKEN.

    \b
    Example:
      kiseki publish runs/demo --repo-id example-org/demo
      kiseki publish runs/demo --repo-id example-org/demo --yes
    """
    from kiseki.report.card import require_hub

    require_hub()
    from kiseki.hub.plan import is_public, make_plan
    from kiseki.hub.repository import check_name, connect
    from kiseki.report.dossier import gather

    check_name(repo_id)
    folder = run_folder(run)
    _refresh(folder)
    dossier = gather(folder)
    if public and not is_public(dossier):
        raise UsageError(
            "--public: the run's configuration does not say `poc.confidentiality: public`; leave --public out"
        )
    api = connect()
    repository = _look_up(api, repo_id, required=yes)
    with tempfile.TemporaryDirectory(prefix="kiseki-") as workspace:
        plan = make_plan(
            dossier,
            repo_id=repo_id,
            language=lang or dossier.language,
            card_before=repository.card if repository else None,
            workspace=Path(workspace),
        )
        _show(plan, repository)
        if yes and repository is not None:
            _upload(api, plan, repository, public=public, create_pr=create_pr)
        else:
            click.echo(
                "\n何も送信していません。送信するには --yes を付けてください。 / Nothing was sent; --yes uploads it."
            )


def _refresh(folder: RunFolder) -> None:
    from kiseki.companion.views import refresh_views

    try:
        refresh_views(folder)
    except (RunFolderError, OSError) as error:
        click.echo(f"kiseki: warning: JSON, CSV and PNG were left as they are: {error}", err=True)


def _look_up(api: "HfApi", repo_id: str, *, required: bool) -> "Repository | None":
    """The repository as it stands; None when the Hub cannot be asked and nothing is to be sent anyway."""
    from kiseki.hub.refusal import HubError
    from kiseki.hub.repository import look_up

    try:
        with _told("asking the Hub"):
            return look_up(api, repo_id)
    except HubError as error:
        if required:
            raise
        click.echo(f"kiseki: warning: {error}; README.md is shown as if there were none yet", err=True)
        return None


def _show(plan: "Plan", repository: "Repository | None") -> None:
    click.echo(f"送信するファイル / Files to upload: {plan.repo_id} ({_standing(repository)})")
    width = max(len(file.path) for file in plan.files)
    for file in plan.files:
        click.echo(f"  {file.path:<{width}}  {file.bytes:>13,}  {file.sha256[:12]}")
    click.echo(f"  {counted(len(plan.files), 'file')}, {plan.bytes:,} bytes\n")
    # The card that stands there is other people's text; a terminal must not be steered by it.
    shown = "".join(one if one.isprintable() or one in "\n\t" else "�" for one in plan.card_diff)
    click.echo(shown or "README.md: 変更なし / unchanged")


def _standing(repository: "Repository | None") -> str:
    if repository is None:
        return "状態不明 / not asked"
    if not repository.exists:
        return "新規 / new"
    return "非公開 / private" if repository.private else "公開 / public"


def _upload(api: "HfApi", plan: "Plan", repository: "Repository", *, public: bool, create_pr: bool) -> None:
    from kiseki.hub.upload import upload

    with _told(f"uploading {counted(len(plan.files), 'file')}, {plan.bytes:,} bytes"), _quiet_library():
        published = upload(api, plan, repository, public=public, create_pr=create_pr)
    if published.changed:
        click.echo(f"\n送信しました / Uploaded: {published.url}")
    else:
        click.echo(
            f"\n変更がないため何も送信していません / Nothing has changed, nothing was committed: {published.url}"
        )


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Without the client library's bars and warnings: what is worth saying is said here."""
    utils = import_module("huggingface_hub.utils")  # exports its names lazily
    verbosity, disabled = utils.logging.get_verbosity(), utils.are_progress_bars_disabled()
    utils.logging.set_verbosity_error()
    if not disabled:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.logging.set_verbosity(verbosity)
        if not disabled:
            utils.enable_progress_bars()


@contextmanager
def _told(what: str, *, after: float = _QUIET_SECONDS) -> Iterator[None]:
    """Say what is going on, and for how long, once it has taken more than a moment."""
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(what, done, after), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(what: str, done: threading.Event, after: float) -> None:
    if done.wait(after):
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{what} ...")
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(what, total=None)
        done.wait()
