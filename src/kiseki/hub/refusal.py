"""What can go wrong between here and the Hub, in one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from kiseki.errors import KisekiError
from kiseki.provenance.redaction import Redactor


class HubError(KisekiError):
    """The Hub cannot be reached, or refuses what was asked of it."""


class HubUnreachable(HubError):
    """There is no answer from the Hub at all."""


@contextmanager
def refusals_in_words(repo_id: str, endpoint: str) -> Iterator[None]:
    """Turn what the client library raises into errors for people; no token is ever part of them.

    Raises:
        HubUnreachable: no connection, or offline mode.
        HubError: the Hub refused.
    """
    errors = import_module("huggingface_hub.errors")  # with the HTTP library's own base error, which it only imports
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise HubUnreachable("the Hub cannot be asked: HF_HUB_OFFLINE is set; unset it to go online") from error
    except errors.LocalTokenNotFoundError as error:
        raise HubError("there is no token: run `hf auth login`, or set HF_TOKEN") from error
    except errors.HfHubHTTPError as error:
        raise HubError(_in_words(error, repo_id, endpoint)) from error
    except errors.HTTPError as error:
        raise HubUnreachable(
            f"{endpoint} cannot be reached ({type(error).__name__}); check the network, the proxy and HF_ENDPOINT"
        ) from error
    except (ValueError, RuntimeError) as error:  # the client checks metadata and wraps errors of uploading so
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError) and cause.response.status_code != 400:
            raise HubError(_in_words(cause, repo_id, endpoint)) from error
        raise HubError(f"{repo_id}: nothing was committed: {_one_line(str(error))}") from error


def _in_words(error: Any, repo_id: str, endpoint: str) -> str:
    status = error.response.status_code
    said = _one_line(error.server_message or error.response.headers.get("X-Error-Message") or "")
    because = f" ({said})" if said else ""
    return f"{repo_id}: {_advice(status, endpoint)}{because}"


def _advice(status: int, endpoint: str) -> str:
    if status == 401:
        return (
            f"{endpoint} does not accept the token, or there is none [401]; "
            "run `hf auth login`, or set HF_TOKEN to a token with write permission"
        )
    if status == 403:
        return (
            "the token may not do this [403]; use a token with write permission for this name, "
            "or --create-pr for a repository of somebody else"
        )
    if status == 404:
        return "there is no such model repository, or the token may not see it [404]; check the name and the token"
    if status in (409, 412):
        return f"the repository was changed meanwhile [{status}]; nothing was committed, run the command again"
    if status == 413:
        return "a file is too large for the Hub [413]; nothing was committed"
    if status == 429:
        return "too many requests [429]; wait some minutes and run the command again"
    if status >= 500:
        return f"{endpoint} is out of order [{status}]; nothing was committed as far as is known, run it again later"
    return f"{endpoint} refused the request [{status}]"


def _one_line(text: str) -> str:
    return Redactor().text(" ".join(text.split()))[:300]
