"""The upload: one commit, so that the repository has all of it or nothing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiseki.hub.plan import Plan
from kiseki.hub.refusal import HubError, refusals_in_words
from kiseki.hub.repository import Repository, look_up

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True, slots=True)
class Published:
    """What the upload did.

    Attributes:
        url: the commit or the pull request; of the head that stood there when nothing changed.
        changed: there was something to commit.
    """

    url: str
    changed: bool


def check_visibility(repository: Repository, repo_id: str, *, public: bool) -> None:
    """Refuse to show a run to everybody unless that was said.

    Raises:
        HubError: the repository is public and `public` was not asked for.
    """
    if repository.exists and not repository.private and not public:
        raise HubError(f"{repo_id} is a public repository: anyone can read what is uploaded; add --public if so meant")


def upload(
    api: "HfApi", plan: Plan, repository: Repository, *, public: bool = False, create_pr: bool = False
) -> Published:
    """Upload what was planned. A repository that does not exist is made, private unless `public`.

    The same content again makes no commit.

    Args:
        api: the Hub.
        plan: the files.
        repository: as it stood when the plan was made; nothing is committed when it stands differently by now.
        public: anyone may read it.
        create_pr: propose the commit as a pull request.

    Raises:
        HubError: the Hub cannot be reached or refuses; nothing was committed.
    """
    if not repository.exists:
        repository = _made(api, plan, public=public, create_pr=create_pr)
    check_visibility(repository, plan.repo_id, public=public)
    from huggingface_hub import CommitOperationAdd

    operations = [CommitOperationAdd(file.path, file.source) for file in plan.files]
    with refusals_in_words(plan.repo_id, api.endpoint):
        commit = api.create_commit(
            plan.repo_id,
            operations,
            commit_message=f"kiseki: record of run {plan.run_id}",
            create_pr=create_pr,
            parent_commit=repository.commit,
        )
    return Published(commit.pr_url or str(commit.commit_url), commit.oid != repository.commit)


def _made(api: "HfApi", plan: Plan, *, public: bool, create_pr: bool) -> Repository:
    repo_id = plan.repo_id
    if create_pr:
        raise HubError(f"{repo_id}: there is no such repository, or the token may not see it; a pull request needs one")
    with refusals_in_words(repo_id, api.endpoint):
        api.create_repo(repo_id, private=not public, exist_ok=True)
    repository = look_up(api, repo_id)
    if not repository.exists or repository.card != plan.card_before:
        raise HubError(f"{repo_id}: the repository was changed meanwhile; nothing was committed, run the command again")
    return repository
