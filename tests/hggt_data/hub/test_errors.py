"""Errors of the Hub's client for those who use hggt as a library: one line, the way out, and no secret anywhere."""

import errno
import json
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

from hggt_data.errors import RUN_AGAIN, HubError, PublishError
from hggt_data.hub.errors import explained, page_of, redact
from hggt_data.hub.repository import Repository
from hggt_data.io.files import digest_of_file
from tests.hggt_data.people import Published
from tests.hggt_data.trees import contents, write_bytes
from tests.hub_client import MEMBER, HubClient, find_secrets
from tests.hub_server import CutRequest, CutResponse, Do, Fault, HubServer, Response

# The client's own, in this process.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

SIGNED = "https://storage.example/lfs/ab12?X-Amz-Expires=3600&X-Amz-Signature=f00d"


class TestRedaction:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (f"PUT {SIGNED} failed", "PUT https://storage.example/lfs/ab12 failed"),
            (
                f"'{SIGNED}', then <{SIGNED}>",
                "'https://storage.example/lfs/ab12', then <https://storage.example/lfs/ab12>",
            ),
            (f"({SIGNED})", "(https://storage.example/lfs/ab12"),
            ("https://hf.co/lab/hggt has no question", "https://hf.co/lab/hggt has no question"),
            ("a line\n and another", "a line and another"),
            ("Bearer hf_AbCdEfGhIjKlMnOp12 is wrong", "Bearer hf_*** is wrong"),
            ("what?really", "what?really"),
        ],
        ids=lambda text: text.split()[0],
    )
    def test_addresses_lose_what_is_signed_and_tokens_go(self, text: str, expected: str) -> None:
        assert redact(text) == expected

    def test_a_token_of_any_form_goes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "api_org.Secret")
        assert redact("the token api_org.Secret is wrong") == "the token *** is wrong"


class TestKinds:
    def raised(self, error: Exception) -> str:
        with pytest.raises(HubError) as raised, explained("lab/hggt", "dataset", "v1"):
            raise error
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def test_faults_of_the_disk_are_not_those_of_the_hub(self) -> None:
        for error in (
            OSError(errno.ENOSPC, "No space left on device", "data/x.parquet"),
            PermissionError(errno.EACCES, "Permission denied"),
            FileExistsError(errno.EEXIST, "File exists"),
        ):
            with pytest.raises(OSError, match=str(error.strerror)) as raised, explained("lab/hggt", "dataset"):
                raise error
            assert raised.value is error

    def test_faults_of_the_other_transport_are_explained_and_lose_their_secrets(self) -> None:
        hf_xet = pytest.importorskip("hf_xet", reason="install hf_xet")
        for kind in (hf_xet.XetAuthenticationError, hf_xet.XetObjectNotFoundError, RuntimeError, ConnectionError):
            told = self.raised(kind(f"403 Forbidden for {SIGNED}"))
            assert "403 Forbidden for https://storage.example/lfs/ab12" in told
            assert "X-Amz" not in told

    @pytest.mark.parametrize(
        ("status", "line"),
        [
            ("403 Forbidden", "this token may not do that with lab/hggt (403). It needs the role `write`"),
            ("404 Not Found", f"lab/hggt: the Hub refuses (404). {RUN_AGAIN}"),
        ],
    )
    def test_a_refusal_of_the_other_transport_is_no_fault_of_the_network(self, status: str, line: str) -> None:
        error = ConnectionError(f"Network error: Request error: HTTP status client error ({status}), domain: {SIGNED}")
        assert self.raised(error).startswith(line)

    def test_answers_that_are_not_those_of_a_hub(self) -> None:
        for error in (KeyError("id"), json.JSONDecodeError("Expecting value", "<html>", 0)):
            assert "does not answer as a Hub does; does a proxy or a login page of the network?" in self.raised(error)

    def test_a_token_that_cannot_be_sent(self) -> None:
        with pytest.raises(UnicodeEncodeError) as error:
            "hf_señor".encode("ascii")
        assert "the token for the Hub holds what no token has. Run `hf auth login`" in self.raised(error.value)

    def test_our_own_pass_untouched(self) -> None:
        with pytest.raises(PublishError, match=r"^as it is$"), explained("lab/hggt", "dataset"):
            raise PublishError("as it is")

    def test_connections_that_fail(self) -> None:
        for error in (ConnectionError("reset by peer"), TimeoutError("timed out")):
            assert self.raised(error).endswith(f"({error}). Check the network. {RUN_AGAIN}")

    def test_the_cause_is_told_and_not_the_words_around_it(self) -> None:
        try:
            raise RuntimeError(f"Error while uploading 'x' to the Hub: {SIGNED}") from TimeoutError("timed out")
        except RuntimeError as error:
            message = self.raised(error)
        assert "(timed out). Check the network." in message
        assert "uploading" not in message

    def test_what_nobody_foresaw_is_told_without_secrets(self) -> None:
        assert self.raised(ValueError(f"strange\nanswer of {SIGNED}")) == (
            f"lab/hggt: strange answer of https://storage.example/lfs/ab12. {RUN_AGAIN}"
        )

    def test_the_status_of_the_answer_can_be_asked_for(self, online: None) -> None:
        with pytest.raises(HubError) as raised:
            Repository("lab/none", "model").list_files("main")
        assert raised.value.status == 404
        with pytest.raises(HubError) as raised, explained("lab/hggt", "dataset"):
            raise TimeoutError
        assert raised.value.status is None

    def test_bugs_are_not_hidden(self) -> None:
        with pytest.raises(TypeError), explained("lab/hggt", "dataset"):
            raise TypeError("a bug")

    def test_pages(self) -> None:
        assert page_of("lab/hggt", "dataset").endswith("/datasets/lab/hggt")
        assert page_of("lab/net", "model").removeprefix("https://").count("/") == 2


@pytest.mark.usefixtures("online")
class TestSecrets:
    """What a library's user can see of a publication that fails."""

    @pytest.fixture
    def network(self, online: None) -> Repository:
        network = Repository("lab/net", "model")
        network.create("private")
        return network

    def publish(self, network: Repository, folder: Path) -> None:
        write_bytes(folder / "a.bin", b"\0" * 5000)
        network.publish(folder, [digest_of_file(folder, "a.bin")], [], title="v 1", visibility="private")

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
            self.publish(network, tmp_path / "net")
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


def test_a_python_that_tells_more_tells_no_secret(hub: HubServer, member: HubClient, published: Published) -> None:
    """`-X dev` shows all warnings and, at a signal, the stacks."""
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
    # The dump reads the frames of threads that go on running, and so may itself end in a bad access.
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
