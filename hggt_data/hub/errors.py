"""The errors of the Hub's client, each as one line with the way out, and without secrets."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Literal

from hggt_data.errors import RUN_AGAIN, HggtError, HubError

Kind = Literal["dataset", "model"]

# The client, and what it speaks HTTP with, before its version 2 and since; the loggers of httpcore are made late.
_LIBRARIES = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2")
_HTTPCORE_PARTS = ("connection", "http11", "http2", "proxy", "socks")


def page_of(repo_id: str, kind: Kind) -> str:
    """The address of a repository's page."""
    from huggingface_hub.constants import ENDPOINT

    return f"{ENDPOINT!s}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"


@contextmanager
def explained(repo_id: str, kind: Kind, revision: str | None = None) -> Iterator[None]:
    """Turn what the client raises into one line with the way out, and keep secrets out of it.

    The client's own messages and tracebacks can hold signed addresses, so they are not chained.

    Raises:
        HubError: instead of every error of the client.
    """
    _keep_secrets_out_of_logs()
    try:
        yield
    except HggtError:
        raise
    except (OSError, _transport_error(), RuntimeError, ValueError, KeyError) as error:
        is_ours = isinstance(error, OSError) and error.errno is not None
        if is_ours and not isinstance(error, ConnectionError | TimeoutError):
            raise  # of this machine's disk; what the client raises itself has no number
        told = HubError(explain(error, repo_id, kind, revision))
        told.status = getattr(getattr(error, "response", None), "status_code", None)
        told.is_unreachable = told.status is None and isinstance(error, _no_answer())
        raise told from None


def explain(error: BaseException, repo_id: str, kind: Kind, revision: str | None = None) -> str:
    """The line for one error of the client."""
    from huggingface_hub import constants, errors, get_token

    name, cause, endpoint = repo_id, error.__cause__, constants.ENDPOINT
    if isinstance(error, errors.OfflineModeIsEnabled) or isinstance(cause, errors.OfflineModeIsEnabled):
        absent = f" is not in the cache under the revision {revision}, and" if revision else ":"
        return f"{name}{absent} the offline mode is on. Unset HF_HUB_OFFLINE to use the Hub."
    if isinstance(error, errors.LocalEntryNotFoundError):
        if isinstance(cause, Exception):
            return explain(cause, repo_id, kind, revision)
        return (
            f"{name} is not wholly in the cache, and the Hub cannot be asked. Unset HF_HUB_OFFLINE; check the network."
        )
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "no token for the Hub. Run `hf auth login`, or set HF_TOKEN."
    if isinstance(error, errors.GatedRepoError):
        page = page_of(repo_id, kind)
        if get_token() is None:
            return f"{name} is gated, and there is no token. Ask for access at {page}, then run `hf auth login`."
        return f"{name} is gated, and this token has no access yet. Ask for it at {page}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name}: no such {kind} on {endpoint}, or the token may not see it. Check the "
            "name; for a private one run `hf auth login` or set HF_TOKEN."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} has no revision {revision!r}. {page_of(repo_id, kind)}/tree/main lists its tags and branches."
    if isinstance(error, errors.EntryNotFoundError):
        return f"{name} lacks a file that was asked for: {redact(str(error))}"
    if isinstance(error, errors.HfHubHTTPError):
        answer = error.response
        return _explain_status(answer.status_code, repo_id, error.server_message, answer.headers.get("Retry-After"))
    if isinstance(error, UnicodeEncodeError):
        return "the token for the Hub holds what no token has. Run `hf auth login`, or set HF_TOKEN to a valid one."
    if isinstance(error, KeyError | JSONDecodeError):
        return f"{endpoint} does not answer as a Hub does; does a proxy or a login page of the network? {RUN_AGAIN}"
    if isinstance(error, RuntimeError | ValueError) and isinstance(cause, Exception):
        return explain(cause, repo_id, kind, revision)  # the client's words around the true error of an upload
    if status := re.search(
        r"HTTP status (?:client|server) error \((\d{3})", str(error)
    ):  # as the transport Xet words it
        return _explain_status(int(status[1]), repo_id)
    if isinstance(error, _no_answer()):
        reason = redact(str(error)) or type(error).__name__
        return f"no connection to {endpoint} ({reason}). Check the network. {RUN_AGAIN}"
    return f"{name}: {redact(str(error))}. {RUN_AGAIN}"


def _no_answer() -> tuple[type[Exception], ...]:
    """What is raised where no answer comes."""
    return _transport_error(), ConnectionError, TimeoutError


def _transport_error() -> type[Exception]:
    """The client's base of failed connections: httpx2's, or httpx's before huggingface_hub 2."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")


def _explain_status(status: int, name: str, message: str | None = None, wait: str | None = None) -> str:
    """The line for an answer of the Hub that is an error; `wait` is for how many seconds, if it says so."""
    from huggingface_hub.constants import ENDPOINT

    said = f"; the Hub says: {redact(message)}" if message else ""
    if status == 401:
        return "the Hub does not know this token (401). Run `hf auth login`, or set HF_TOKEN to a valid one."
    if status == 403:
        needs = "If that is for want of rights: it" if said else "It"
        return (
            f"this token may not do that with {name} (403{said}). {needs} needs the role `write` and rights in "
            f"{name.partition('/')[0]}; see {ENDPOINT}/settings/tokens."
        )
    if status == 429:
        when = f"{wait} s" if wait else "some minutes"
        return f"too many requests for the Hub's rate limit (429). Wait: {when}. {RUN_AGAIN}"
    if status >= 500:
        return f"the Hub has a fault of its own ({status}{said}). {RUN_AGAIN}"
    return f"{name}: the Hub refuses ({status}{said}). {RUN_AGAIN}"


def redact(text: str) -> str:
    """Text of the client without tokens and without the signed part of addresses, on one line."""
    from huggingface_hub import get_token

    text = re.sub(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]*", r"\1", " ".join(text.split()))
    text = re.sub(r"\bhf_[A-Za-z0-9]{16,}", "hf_***", text)
    token = get_token()
    return text.replace(token, "***") if token else text


class _Redaction(logging.Filter):
    """Keeps secrets out of what the client and its HTTP library log, such as the address of each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


_redaction = _Redaction()


def _keep_secrets_out_of_logs() -> None:
    # A filter acts on the records of its own logger only, so each logger gets it; adding it again changes nothing.
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LIBRARIES]
    names += [f"{library}.{part}" for library in _LIBRARIES[-2:] for part in _HTTPCORE_PARTS]
    for name in (*names, *_LIBRARIES):
        logging.getLogger(name).addFilter(_redaction)
