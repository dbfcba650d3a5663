"""The errors of the Hub's client as one line each that says what to do, without secrets."""

import logging
import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from typing import TYPE_CHECKING, Literal, TypeVar

from hggt_data.errors import HggtError, HubError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

RepositoryKind = Literal["dataset", "model"]
Value = TypeVar("Value")

# The client and its HTTP libraries, before version 2 of the client and since; the loggers of httpcore are made late.
_LIBRARIES = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2")
_HTTPCORE_PARTS = ("connection", "http11", "http2", "proxy", "socks")
_UNAVAILABLE = (500, 502, 503, 504)
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})")  # in the text of hf_xet's errors
_SIGNED_URL = re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]*")


class AnswerError(HggtError, ValueError):
    """An answer does not have the form of the Hub's."""


def page_of(repo_id: str, kind: RepositoryKind) -> str:
    """The URL of a repository's page."""
    from huggingface_hub.constants import ENDPOINT

    return f"{ENDPOINT!s}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"


@contextmanager
def explained(repo_id: str, kind: RepositoryKind, revision: str | None = None) -> Iterator[None]:
    """Raise a `HubError` of one line in place of any error of the client.

    The client's own errors are not chained, because their text and tracebacks may hold signed URLs.
    """
    _keep_secrets_out_of_logs()
    try:
        yield
    except AnswerError as error:
        raise HubError(explain(error, repo_id, kind, revision)) from None
    except HggtError:
        raise
    except (AttributeError, TypeError, LookupError, AssertionError) as error:
        if not _is_from_client(error):
            raise
        raise HubError(explain(AnswerError(), repo_id, kind, revision)) from None
    except (OSError, _http_error(), RuntimeError, ValueError) as error:
        has_number = isinstance(error, OSError) and error.errno is not None  # the client's own errors have none
        if has_number and not isinstance(error, ConnectionError | TimeoutError):
            raise  # from this machine's disk
        ours = HubError(explain(error, repo_id, kind, revision))
        ours.status = getattr(getattr(error, "response", None), "status_code", None)
        ours.is_unreachable = ours.status is None and isinstance(error, (_http_error(), ConnectionError, TimeoutError))
        raise ours from None


def retried(call: Callable[[], Value], waits_s: Sequence[float] = (1, 2, 4)) -> Value:
    """The result of a download that is tried again while the server is unavailable, where the client gives up.

    Files that come through Xet need no more attempts: hf_xet makes five itself, within about a minute.
    """
    from huggingface_hub.errors import HfHubHTTPError

    for wait_s in waits_s:
        try:
            return call()
        except HfHubHTTPError as error:
            if getattr(error.response, "status_code", None) not in _UNAVAILABLE:
                raise
        time.sleep(wait_s)
    return call()


def _is_from_client(error: BaseException) -> bool:
    """Whether the client failed to understand an answer; other errors of these types are our own bugs."""
    names = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.partition(".")[0] == "huggingface_hub" for name in names)


def explain(error: BaseException, repo_id: str, kind: RepositoryKind, revision: str | None = None) -> str:
    """The line for one error of the client."""
    from huggingface_hub import constants, errors, get_token

    cause, endpoint, page = error.__cause__, constants.ENDPOINT, page_of(repo_id, kind)
    match error:
        case errors.OfflineModeIsEnabled():
            return f"{repo_id} is not in the cache, and the client is offline. Unset HF_HUB_OFFLINE to use the Hub."
        case errors.LocalEntryNotFoundError():
            if isinstance(cause, Exception):
                return explain(cause, repo_id, kind, revision)
            return f"{repo_id} is not completely in the cache, and the Hub cannot be reached. Check the network."
        case errors.LocalTokenNotFoundError():
            return "no token for the Hub. Run `hf auth login` or set HF_TOKEN."
        case errors.GatedRepoError() if get_token() is None:
            return f"{repo_id} is gated, and there is no token. Request access at {page}, then run `hf auth login`."
        case errors.GatedRepoError():
            return f"{repo_id} is gated, and this token has no access. Request access at {page}."
        case errors.RepositoryNotFoundError():
            return (
                f"{repo_id}: no such {kind} on {endpoint}, or this token cannot read it. Check the name; for a private "
                "repository run `hf auth login` or set HF_TOKEN."
            )
        case errors.RevisionNotFoundError():
            return f"{repo_id} has no revision {revision!r}. Its tags and branches are listed at {page}/tree/main."
        case errors.EntryNotFoundError():
            return f"{repo_id} lacks a required file: {redact(str(error))}"
        case errors.HfHubHTTPError():
            return _explain_answer(error, repo_id, kind)
        case UnicodeEncodeError():
            return "the token for the Hub has invalid characters. Run `hf auth login` or set HF_TOKEN to a valid token."
        case AnswerError() | JSONDecodeError():
            return f"{endpoint} did not answer like a Hub. Check for a proxy or a login page of the network."
        case RuntimeError() if status := _XET_STATUS.search(str(error)):
            return _explain_status(int(status[1]), "", repo_id, kind, reading="reconstruction" in str(error))
        case RuntimeError() | ValueError() if isinstance(cause, Exception):
            return explain(cause, repo_id, kind, revision)  # the true error of an upload
        case _:
            reason = redact(str(error)) or type(error).__name__
            return f"request to {endpoint} failed: {reason}. Check the network and try again."


def _http_error() -> type[Exception]:
    """The base of the HTTP library's errors: httpx2's, or httpx's before version 2 of huggingface_hub."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def _explain_answer(error: "HfHubHTTPError", name: str, kind: RepositoryKind) -> str:
    """The line for an HTTP error."""
    response = error.response
    reading = response.request.method in ("GET", "HEAD")
    wait = response.headers.get("Retry-After")
    return _explain_status(response.status_code, redact(error.server_message or ""), name, kind, reading, wait)


def _explain_status(
    status: int, message: str, name: str, kind: RepositoryKind, reading: bool, wait_s: str | None = None
) -> str:
    """The line for the status of an answer, of which the Hub says `message`."""
    from huggingface_hub.constants import ENDPOINT

    owner, details = name.partition("/")[0], f" ({', '.join(filter(None, (str(status), message.rstrip('.'))))})"
    if status == 401:
        return "the Hub does not accept this token (401). Run `hf auth login` or set HF_TOKEN to a valid token."
    if status == 507 or (status == 403 and "storage" in message.lower()):
        return (
            f"{owner} has no storage left on the Hub{details}. Delete files or extend the plan at "
            f"{ENDPOINT}/settings/billing."
        )
    if status == 403 and reading:
        return (
            f"{name} cannot be read{details}. Either the token lacks read access (see {ENDPOINT}/settings/tokens), or "
            f"a proxy blocks the Hub's storage, or a link has expired."
        )
    if status == 403:
        return (
            f"this token has no permission to do this with {name}{details}. It needs the role `write` and write access "
            f"to {owner}; see {ENDPOINT}/settings/tokens."
        )
    if status in (409, 412):
        return describe_conflict(name)
    if status == 413:
        advice = " If a shard is too large, build the dataset with fewer groups per shard." if kind == "dataset" else ""
        return f"{name}: a file, or the whole push, is too large for the Hub{details}.{advice}"
    if status == 429:
        wait = f"{wait_s} s" if wait_s else "a few minutes"
        return f"the Hub's rate limit is exceeded (429). Wait {wait} and try again."
    if status >= 500:
        return f"the Hub reports an internal error{details}. Try again later."
    return f"{name}: the Hub refused the request{details}."


def describe_conflict(repo_id: str) -> str:
    """The line for a push that was planned for an older commit."""
    return (
        f"someone else changed {repo_id} after this push was planned; nothing was pushed. Run the same command again."
    )


def redact(text: str) -> str:
    """Text of the client on one line, without the token and without the signed part of URLs."""
    from huggingface_hub import get_token

    text, token = _SIGNED_URL.sub(r"\1", " ".join(text.split())), get_token()
    return text.replace(token, "***") if token else text


class _Redaction(logging.Filter):
    """Removes secrets from what the client and its HTTP library log, such as the URL of each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


_redaction = _Redaction()


def _keep_secrets_out_of_logs() -> None:
    # A filter sees only the records of its own logger, so each logger gets it; adding it twice changes nothing.
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LIBRARIES]
    names += [f"{library}.{part}" for library in _LIBRARIES[-2:] for part in _HTTPCORE_PARTS]
    for name in (*names, *_LIBRARIES):
        logging.getLogger(name).addFilter(_redaction)
