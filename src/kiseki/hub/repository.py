"""A model repository on the Hub as it stands: whether it is there, who sees it, its card."""

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiseki.errors import UsageError
from kiseki.hub.refusal import refusals_in_words

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Repository:
    """What is known of a repository.

    Attributes:
        exists: it is there, as far as the token may see.
        private: only its members see it; None when it does not exist.
        commit: the head of its main branch, None when it does not exist or is empty.
        card: its README.md, None when there is none.
    """

    exists: bool = False
    private: bool | None = None
    commit: str | None = None
    card: str | None = None


def connect() -> "HfApi":
    """The Hub that `HF_ENDPOINT` names, with the token that huggingface_hub finds (`HF_TOKEN`, `hf auth login`)."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="kiseki")


def check_name(repo_id: str) -> None:
    """Refuse what is no name of a model repository.

    Raises:
        UsageError: it says what was expected.

    Example:
        >>> check_name("example-org/phi-3.5-so8t")
    """
    if re.match(r"(datasets|spaces|kernels)/|https?:", repo_id):
        raise UsageError(f"--repo-id {repo_id}: a run is published to a model repository; expected ORG/NAME")
    name = r"[A-Za-z0-9](?:[\w.-]*\w)?"
    if (
        not re.fullmatch(f"{name}/{name}", repo_id, re.ASCII)
        or re.search(r"--|\.\.|\.git$", repo_id)
        or len(repo_id) > 96
    ):
        raise UsageError(
            f"--repo-id {repo_id}: expected ORG/NAME, such as example-org/my-model: letters, digits, - _ and . "
            "(not at the ends, no -- or ..), at most 96 characters"
        )


def look_up(api: "HfApi", repo_id: str) -> Repository:
    """The repository as it stands now; one that does not exist, or that the token may not see, is not there.

    Raises:
        HubError: the Hub cannot be reached, or refuses.
        UsageError: the card is no UTF-8 text.
    """
    from huggingface_hub import get_session, get_token, hf_raise_for_status
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    with refusals_in_words(repo_id, api.endpoint):
        try:
            info = api.model_info(repo_id)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return Repository()
        if not any(file.rfilename == CARD for file in info.siblings or ()):
            return Repository(True, info.private, info.sha)
        url = f"{api.endpoint}/{repo_id}/resolve/{info.sha}/{CARD}"
        token = get_token()
        response = get_session().get(url, headers={"authorization": f"Bearer {token}"} if token else {}, timeout=60)
        hf_raise_for_status(response)
    try:
        return Repository(True, info.private, info.sha, response.content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{repo_id}: its README.md is no UTF-8 text; mend it there first") from error
