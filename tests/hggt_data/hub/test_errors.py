"""Errors of the Hub's client: one line, what to do, and no secret anywhere."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from hggt_data.errors import HggtError, HubError, PublishError
from hggt_data.hub.errors import explained, redact
from hggt_data.hub.plan import Destination, look_up
from hggt_data.hub.repository import Repository
from hggt_data.io.files import digest_of_file
from tests.hggt_data.named_tree import Published
from tests.hggt_data.trees import contents, write_bytes
from tests.hub_client import MEMBER, HubClient, find_secrets
from tests.hub_server import CutRequest, CutResponse, Do, Fault, HubServer, Response

# The client's own, in this process.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

SIGNED = "https://storage.example/lfs/ab12?X-Amz-Expires=3600&X-Amz-Signature=f00d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"PUT {SIGNED} failed", "PUT https://storage.example/lfs/ab12 failed"),
        (f"'{SIGNED}', then ({SIGNED})", "'https://storage.example/lfs/ab12', then (https://storage.example/lfs/ab12"),
        ("a line\n and another", "a line and another"),
        ("the token api_org.Secret is wrong", "the token *** is wrong"),
        ("what?really", "what?really"),
    ],
    ids=lambda text: text.split()[0],
)
def test_urls_lose_their_signed_part_and_tokens_go(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "api_org.Secret")
    assert redact(text) == expected


class TestKinds:
    def raised(self, error: Exception) -> str:
        with pytest.raises(HubError) as raised, explained("lab/hggt", "dataset", "v1"):
            raise error
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def test_errors_of_the_disk_and_our_own_pass_unchanged_and_bugs_are_not_hidden(self) -> None:
        for error in (
            OSError(errno.ENOSPC, "No space left on device", "data/x.parquet"),
            PermissionError(errno.EACCES, "Permission denied"),
            PublishError("as it is"),
            TypeError("a bug"),
        ):
            with pytest.raises(type(error)) as raised, explained("lab/hggt", "dataset"):
                raise error
            assert raised.value is error

    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            ("whoami", b"<html>"),
            ("whoami", b"[]"),
            ("whoami", b'{"name": 7}'),
            ("whoami", b'{"name": "maria", "orgs": ["lab"]}'),
            ("revision/main", b"[]"),
            ("revision/main", b"{}"),
            ("revision/main", b'{"id": "lab/none", "sha": "../.."}'),
            ("tree/", b'["file"]'),
            ("tree/", b'[{"type": "file", "path": "a", "size": "7", "oid": "b"}]'),
        ],
    )
    def test_answers_that_are_not_those_of_a_hub(self, online: None, hub: HubServer, path: str, answer: bytes) -> None:
        Repository("lab/none", "model").create("private")
        hub.faults = [Fault("GET", path, Response(200, answer))]
        with pytest.raises(HubError, match=r"^\S+ did not answer like a Hub\. Check for a proxy or a login page"):
            look_up(Destination(repo_id="lab/none"), "model", "config.json")

    def test_a_token_that_cannot_be_sent(self) -> None:
        with pytest.raises(UnicodeEncodeError) as error:
            "hf_señor".encode("ascii")
        assert "the token for the Hub has invalid characters. Run `hf auth login`" in self.raised(error.value)

    def test_requests_that_fail_name_the_reason_without_secrets(self) -> None:
        for error in (ConnectionError, TimeoutError, ValueError):
            message = self.raised(error(f"reset\nby {SIGNED}"))
            assert message.endswith(
                "failed: reset by https://storage.example/lfs/ab12. Check the network and try again."
            )

    def test_the_cause_is_reported_and_not_the_text_around_it(self) -> None:
        try:
            raise RuntimeError(f"Error while uploading 'x' to the Hub: {SIGNED}") from TimeoutError("timed out")
        except RuntimeError as error:
            message = self.raised(error)
        assert "failed: timed out." in message
        assert "uploading" not in message

    @pytest.mark.parametrize(
        ("status", "headers", "message"),
        [
            (401, {}, "the Hub does not accept this token (401). Run `hf auth login`"),
            (403, {}, "this token has no permission to do this with lab/none (403"),
            (409, {}, "someone else changed lab/none after this push was planned; nothing was pushed. Run the same"),
            (412, {}, "someone else changed lab/none after this push was planned; nothing was pushed. Run the same"),
            (413, {}, "lab/none: a file, or the whole push, is too large for the Hub (413)."),
            (507, {}, "lab has no storage left on the Hub (507). Delete files or extend the plan at http"),
            (429, {"Retry-After": "17"}, "the Hub's rate limit is exceeded (429). Wait 17 s and try again."),
            (429, {}, "the Hub's rate limit is exceeded (429). Wait a few minutes and try again."),
            (418, {}, "lab/none: the Hub refused the request (418"),
            (501, {}, "the Hub reports an internal error (501"),
        ],
    )
    def test_the_status_of_an_answer(
        self, online: None, hub: HubServer, status: int, headers: dict[str, str], message: str
    ) -> None:
        hub.faults = [Fault("POST", "repos/create", Response(status, headers=headers))]
        with pytest.raises(HggtError) as raised:
            Repository("lab/none", "model").create("private")
        assert str(raised.value).startswith(message)
        if isinstance(raised.value, HubError):
            assert (raised.value.status, raised.value.is_unreachable) == (status, False)

    def test_a_download_that_is_refused_speaks_of_reading(self, online: None, hub: HubServer) -> None:
        Repository("lab/net", "model").create("private")
        hub.push("lab/net", {"a.bin": b"1"})
        hub.faults = [Fault("GET", "/lfs/", Response(403))]
        with pytest.raises(HubError, match=r"^lab/net cannot be read \(403\)\. Either the token lacks read access"):
            Repository("lab/net", "model").fetch_file("a.bin", "main")

    def test_storage_that_is_unavailable_for_a_moment_is_asked_again(
        self, online: None, hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        Repository("lab/net", "model").create("private")
        hub.push("lab/net", {"a.bin": b"1", "b.bin": b"2"})
        hub.faults = [Fault("GET", "/lfs/", Response(503), times=3)]
        path = Repository("lab/net", "model").fetch_file("a.bin", "main")
        assert path is not None
        assert path.read_bytes() == b"1"
        hub.faults = [Fault("GET", "/lfs/", Response(503), times=100)]
        with pytest.raises(HubError, match=r"the Hub reports an internal error \(503\)"):
            Repository("lab/net", "model").read_file("b.bin", "main")

    def test_the_api_that_is_unavailable_for_a_moment_is_asked_again(
        self, online: None, hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        Repository("lab/net", "model").create("private")
        hub.push("lab/net", {"a.bin": b"1"})
        hub.faults = [Fault("GET", f"/api/{path}", Response(503), times=2) for path in ("models/lab/net$", ".*/tree/")]
        assert "a.bin" in Repository("lab/net", "model").read_main().files

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "File reconstruction error: Request error: HTTP status client error (403 Forbidden)",
                "cannot be read (403)",
            ),
            ("Upload error: Request error: HTTP status client error (403 Forbidden)", "this token has no permission"),
            ("Request error: HTTP status server error (503 Service Unavailable), domain: x", "internal error (503)"),
        ],
    )
    def test_the_status_of_an_answer_to_xet(self, text: str, message: str) -> None:
        assert message in self.raised(RuntimeError(f"Task error: {text}"))

    def test_no_answer(self) -> None:
        with pytest.raises(HubError) as raised, explained("lab/hggt", "dataset"):
            raise TimeoutError
        assert (raised.value.status, raised.value.is_unreachable) == (None, True)


@pytest.mark.usefixtures("online")
class TestSecrets:
    """What a user of the library can see of a push that fails."""

    @pytest.fixture
    def network(self, online: None) -> Repository:
        network = Repository("lab/net", "model")
        network.create("private")
        return network

    def push(self, network: Repository, folder: Path) -> None:
        write_bytes(folder / "a.bin", b"\0" * 5000)
        contents = [digest_of_file(folder, "a.bin")]
        network.push(folder, contents, [], main=network.read_main(), visibility="private", message="Push")

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("PUT", "/lfs/", Response(403, b"<Error>SignatureDoesNotMatch</Error>")),
            Fault("PUT", "/lfs/", CutRequest(100), times=100),
            Fault("POST", "/commit/", CutResponse()),
        ],
        ids=["refused", "cut", "answer lost"],
    )
    def test_no_traceback_and_no_log_holds_one(
        self,
        hub: HubServer,
        network: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        fault: Fault,
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        caplog.set_level(logging.DEBUG)
        hub.faults = [fault]
        with pytest.raises(HubError) as raised:
            self.push(network, tmp_path / "net")
        shown = "".join(traceback.format_exception(raised.value))
        assert find_secrets(shown, MEMBER) == []
        assert len(str(raised.value).splitlines()) == 1
        assert find_secrets(caplog.text, MEMBER) == []

    def test_no_traceback_of_a_download_holds_one(self, hub: HubServer, network: Repository) -> None:
        hub.push("lab/net", {"a.bin": b"\0" * 5000})
        hub.faults = [Fault("GET", "/lfs/", Response(403))]
        with pytest.raises(HubError) as raised:
            network.fetch_file("a.bin", "main")
        assert find_secrets("".join(traceback.format_exception(raised.value)), MEMBER) == []

    def test_the_search_would_find_them(
        self, hub: HubServer, network: Repository, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        from huggingface_hub import HfApi

        write_bytes(tmp_path / "net" / "a.bin", b"\0" * 5000)
        hub.faults = [Fault("PUT", "/lfs/", Response(403))]
        with pytest.raises(RuntimeError) as raised:
            HfApi().upload_folder(repo_id="lab/net", folder_path=tmp_path / "net")
        assert find_secrets("".join(traceback.format_exception(raised.value)), MEMBER) == ["X-Amz-Signature"]


def test_python_in_development_mode_prints_no_secret(hub: HubServer, member: HubClient, published: Published) -> None:
    """`-X dev` prints all warnings and, on a signal, the stacks."""
    shutil.copytree(published.dataset, member.folder / "hggt")
    command = ["-X", "dev", "-c", "from hggt_data.cli.main import main; main()"]
    arguments = ["push", "hggt", "lab/hggt", "--yes", "--workers", "1"]

    def abort() -> None:
        os.kill(process.pid, signal.SIGABRT)

    hub.faults = [Fault("PUT", "/lfs/", CutRequest(100)), Fault("PUT", "/lfs/", Do(abort), after=3)]
    process = subprocess.Popen(
        [sys.executable, *command, *arguments],
        cwd=member.folder,
        env=member.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown, _ = process.communicate(timeout=60)
    # The dump reads the frames of running threads, and so may itself end in a bad access.
    assert -process.returncode in (signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV)
    assert "thrown while requesting PUT http://localhost" in shown
    assert "Fatal Python error: Aborted" in shown
    assert find_secrets(shown, MEMBER) == []


def test_no_secret_stays_on_the_disk_or_goes_to_the_hub(
    filled_hub: HubServer, member: HubClient, published: Published, tmp_path: Path
) -> None:
    shutil.copytree(published.dataset, member.folder / "hggt")
    filled_hub.faults = [
        Fault("GET", "/lfs/", CutResponse(5000)),
        Fault("GET", "/lfs/", Do(member.kill), after=2),
        Fault("PUT", "/lfs/", CutRequest(5000)),
        Fault("PUT", "/lfs/", Do(member.kill), after=2),
    ]
    for command in (["download", "lab/hggt", "--output", "got"], ["push", "hggt", "lab/more", "--yes"]):
        assert replace(member, waits=False).hggt_data(*command).exit_code == -signal.SIGKILL
    remote = [data for repo in filled_hub.repos.values() for data in repo.contents.values()]
    for data in (*contents(tmp_path).values(), *remote):
        assert find_secrets(data.decode("latin-1"), MEMBER) == []
