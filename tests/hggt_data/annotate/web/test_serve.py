import shutil
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result

from hggt_data.annotate.round import Round, read_round, write_round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.cli.main import main
from hggt_data.io.folders import lock_folder
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.annotate.servers import Server


@pytest.fixture
def dealt(tmp_path: Path) -> Round:
    return make_round(tmp_path, {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]})


def refuse(*arguments: object) -> Result:
    """Run the command, which must end by itself."""
    return CliRunner().invoke(main, ["annotate", *map(str, arguments)])


def token_of(url: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {url.partition('#')[2]}"}


def test_one_person_at_this_machine(dealt: Round) -> None:
    with Server(dealt.folder, "--annotator", "Ada") as server:
        url = server.url_of("Ada")
        assert url.startswith(f"{server.url}#")
        assert httpx2.get(server.url + "api/round", headers=token_of(url)).json()["name"] == "Ada"
        assert httpx2.get(server.url + "api/admin/progress", headers=token_of(server.admin_url)).status_code == 200
        assert httpx2.get(server.url + "api/round").status_code == 401
        foreign = httpx2.get(server.url, headers={"Host": "evil.example"})
        assert foreign.status_code == 400
        assert server.stop() == -signal.SIGTERM
        assert "Traceback" not in server.log


def test_several_people_by_their_accounts(dealt: Round, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    tokens = {name: add_account(path, Account(name)) for name in ("Ada", "Eve")}
    with Server(dealt.folder, "--accounts", str(path)) as server:
        assert "In " in server.log
        assert "but not in the round: Eve" in server.log
        assert "without a URL: Bob" in server.log
        assert "1 of 2 annotators may come" in server.log
        assert not any(token in server.log for token in tokens.values())

        def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx2.get(server.url + "api/round", headers=headers).status_code

        assert [status(tokens["Ada"]), status(tokens["Eve"]), status("x")] == [200, 403, 401]
        assert status(add_account(path, Account("Bob"))) == 200  # while it runs


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt install openssl")


def make_certificate(folder: Path, *protection: str) -> tuple[Path, Path]:
    """The files of a certificate for lab.example and of its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=lab.example", "-addext", "subjectAltName=DNS:lab.example"]
    form = ["-x509", "-newkey", "rsa:2048", *protection]
    command: list[str | Path] = ["openssl", "req", *form, "-keyout", key, "-out", certificate, *subject]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@needs_openssl
def test_people_from_elsewhere_are_answered_in_https(dealt: Round, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "-nodes")
    accounts = tmp_path / "accounts.json"
    token = add_account(accounts, Account("Ada"))
    options = ["--accounts", accounts, "--host", "0.0.0.0", "--allow-host", "lab.example"]
    tls = ["--tls-certificate", certificate, "--tls-key", key]
    with Server(dealt.folder, *map(str, [*options, *tls]), scheme="https") as server:
        assert f"may come to https://lab.example:{server.port}/" in server.log
        context = ssl.create_default_context(cafile=str(certificate))
        headers = {"Authorization": f"Bearer {token}", "Host": "lab.example"}
        with httpx2.Client(verify=context) as client:
            path = f"https://127.0.0.1:{server.port}/api/round"
            names = {"sni_hostname": "lab.example"}
            assert client.get(path, headers=headers, extensions=names).json()["name"] == "Ada"
            assert client.get(path, headers=headers | {"Host": "other.example"}, extensions=names).status_code == 400


def test_people_from_elsewhere_are_answered_in_http_on_request_only(dealt: Round, tmp_path: Path) -> None:
    token = add_account(tmp_path / "accounts.json", Account("Ada"))
    options = ["--accounts", str(tmp_path / "accounts.json"), "--allow-host", "lab.example"]
    headers = {"Authorization": f"Bearer {token}", "Host": "lab.example"}
    proxied = headers | {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
    with Server(dealt.folder, *options) as server:
        refused = httpx2.get(f"{server.url}api/round", headers=headers)
        assert refused.status_code == 403
        assert "https" in refused.json()["error"]
        assert httpx2.get(f"{server.url}api/round", headers=proxied).status_code == 200
        assert "may come to https://lab.example/" in server.log
        assert f"https://lab.example/ is to be a web server that passes requests on to {server.url}" in server.log
    with Server(dealt.folder, *options, "--host", "0.0.0.0", "--plain-http") as server:
        assert httpx2.get(f"{server.url}api/round", headers=headers).status_code == 200


def test_while_a_round_is_served_nobody_else_has_it(dealt: Round) -> None:
    with lock_folder(dealt.folder):
        result = refuse(dealt.folder, "--annotator", "Ada")
    assert result.exit_code == 1
    assert "is served by hggt-data annotate, or dealt anew just now; stop that first" in result.output


def test_a_port_that_is_taken(dealt: Round) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = refuse(dealt.folder, "--annotator", "Ada", "--port", taken.getsockname()[1])
    assert result.exit_code == 1
    assert "cannot listen at 127.0.0.1:" in result.output
    assert "choose another --host or --port" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "who is it? Pass --annotator NAME (Ada, Bob)"),
        (["--annotator", "Carl"], "nobody called 'Carl' takes part; expected one of Ada, Bob"),
        (["--host", "0.0.0.0", "--annotator", "Ada"], "need --accounts FILE"),
        (["--host", "192.0.2.1", "--annotator", "Ada"], "need --accounts FILE"),
        (["--host", "0.0.0.0", "--accounts", "{accounts}"], "needs --allow-host NAME"),
        (["--host", "::", "--accounts", "{accounts}", "--plain-http"], "needs --allow-host NAME"),
        (["--host", "0.0.0.0", "--accounts", "{accounts}", "--allow-host", "lab"], "without encryption"),
        (["--host", "192.0.2.1", "--accounts", "{accounts}"], "without encryption"),
        (["--annotator", "Ada", "--tls-key", "{accounts}"], "belong together"),
    ],
)
def test_what_would_not_be_safe_or_clear_is_refused(
    dealt: Round, tmp_path: Path, options: list[str], message: str
) -> None:
    path = tmp_path / "accounts.json"
    add_account(path, Account("Ada"))
    result = refuse(dealt.folder, *(option.format(accounts=path) for option in options))
    assert result.exit_code == 1, result.output
    assert message in result.output


def refuse_certificate(dealt: Round, certificate: Path, key: Path) -> str:
    """What is said of files that are no certificate and its key, before anybody is told a URL."""
    result = refuse(dealt.folder, "--annotator", "Ada", "--tls-certificate", certificate, "--tls-key", key)
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    return line


def test_files_that_are_no_certificate_are_named(dealt: Round, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text("text")
    key.write_text("text")
    line = refuse_certificate(dealt, certificate, key)
    assert f"--tls-certificate {certificate} and --tls-key {key} are no certificate and its key" in line


@needs_openssl
def test_a_key_with_a_password_is_refused_without_asking_for_it(dealt: Round, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "-passout", "pass:secret")
    assert f"{key} needs a password; expected a key without one" in refuse_certificate(dealt, certificate, key)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "is no round (no assignments.json in it); hggt-data deal makes one"),
        (b"", "assignments.json is damaged"),
        (b"[]", "assignments.json is damaged"),
        (b'{"format": 99}', "format 99, expected 1"),
    ],
)
def test_what_is_no_round(tmp_path: Path, damage: bytes | None, message: str) -> None:
    folder = tmp_path / "round"
    folder.mkdir()
    if damage is not None:
        (folder / "assignments.json").write_bytes(damage)
    result = refuse(folder)
    assert result.exit_code == 1
    assert message in result.output.replace("\n", " ")


def test_pictures_that_were_moved(dealt: Round, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    dealt.patches.rename(moved)
    result = refuse(dealt.folder, "--annotator", "Ada")
    assert result.exit_code == 1
    assert "say where they are with --patches" in result.output
    with Server(dealt.folder, "--annotator", "Ada", "--patches", str(moved)) as server:
        headers = token_of(server.url_of("Ada"))
        [item, *_] = httpx2.get(server.url + "api/batches/0", headers=headers).json()
        assert httpx2.get(f"{server.url}api/items/{item['id']}/pictures/0", headers=headers).status_code == 200


def test_round_and_pictures_can_be_moved_together(dealt: Round, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("round", "pictures"):
        (tmp_path / name).rename(elsewhere / name)
    assert read_round(elsewhere / "round").patches.resolve() == (elsewhere / "pictures/images/0-9").resolve()


def test_who_was_dropped_does_not_come_in(dealt: Round) -> None:
    ada, bob = dealt.annotators
    write_round(dealt.with_annotators((ada, replace(bob, is_active=False))))
    result = refuse(dealt.folder, "--annotator", "Bob")
    assert "Bob was dropped from the round; hggt-data deal --add Bob" in result.output
    with Server(dealt.folder) as server:  # the only one left
        assert server.url_of("Ada")


def test_without_its_packages_the_command_says_what_to_install(dealt: Round) -> None:
    code = "import sys\nsys.modules['uvicorn'] = None\nfrom hggt_data.cli.main import main\nmain()"
    command = [sys.executable, "-c", code, "annotate", str(dealt.folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "pip install 'hggt[annotate]'" in run.stderr


def accounts(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["accounts", *map(str, arguments)])


def test_the_commands_for_accounts(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    added = accounts("add", "Ada", "--accounts", path, "--url", "https://lab.example/hggt")
    assert added.output.startswith("https://lab.example/hggt/#")
    for url in ("lab.example:8000", "not a url", "http://lab/?a=1", "http://lab/#x", "https://"):
        wrong = accounts("add", "Eve", "--accounts", path, "--url", url)
        assert wrong.exit_code == 2
        assert f"--url {url!r} is not where a server is" in wrong.output
    assert accounts("add", "lab", "--admin", "--accounts", path).output.startswith("http://127.0.0.1:8000/admin#")
    assert accounts("list", "--accounts", path).output == "Ada\nlab (admin)\n"
    assert accounts("add", "Ada", "--accounts", path).exit_code == 1
    assert accounts("remove", "Ada", "--accounts", path).exit_code == 0
    assert accounts("list", "--accounts", path).output == "lab (admin)\n"
