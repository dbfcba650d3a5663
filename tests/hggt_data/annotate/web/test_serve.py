import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result

from hggt_data.annotate.round import Round, read_round, write_round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.cli.main import main
from hggt_data.io.folders import lock_folder
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.annotate.servers import Server, make_certificate, needs_openssl


@pytest.fixture
def round_(tmp_path: Path) -> Round:
    return make_round(tmp_path, {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]})


def refuse(*arguments: object) -> Result:
    """Run the command, which must end by itself."""
    return CliRunner().invoke(main, ["annotate", *map(str, arguments)])


def token_of(url: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {url.partition('#')[2]}"}


def test_one_annotator_on_this_machine(round_: Round) -> None:
    with Server(round_.folder, "--annotator", "Ada") as server:
        url = server.url_of("Ada")
        assert url.startswith(f"{server.url}#")
        assert httpx2.get(server.url + "api/round", headers=token_of(url)).json()["name"] == "Ada"
        assert httpx2.get(server.url + "api/admin/progress", headers=token_of(server.admin_url)).status_code == 200
        assert httpx2.get(server.url + "api/round").status_code == 401
        foreign = httpx2.get(server.url, headers={"Host": "evil.example"})
        assert foreign.status_code == 400
        assert server.stop() == -signal.SIGTERM
        assert "Traceback" not in server.log
        leftover = round_.folder / f"shown/votes/{round_.annotators[0].pseudonym}/.p0-0-0.json.4711.tmp"
        leftover.parent.mkdir(parents=True)
        leftover.write_text("half")
        server.start()
        assert not leftover.exists()
        assert server.url_of("Ada") == url  # an open page continues


def test_a_short_response_does_not_wait_for_a_delayed_acknowledgement(round_: Round) -> None:
    """That would take 40 ms, for each request of a connection but the first few."""
    with Server(round_.folder, "--annotator", "Ada") as server, httpx2.Client() as client:
        headers = token_of(server.url_of("Ada"))
        [item, *_] = client.get(server.url + "api/batches/0", headers=headers).json()
        seconds = []
        for _ in range(30):
            started = time.monotonic()
            client.get(f"{server.url}api/items/{item['id']}/pictures/0", headers=headers)
            seconds.append(time.monotonic() - started)
        assert median(seconds) < 0.035


def test_several_annotators_with_accounts(round_: Round, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    tokens = {name: add_account(path, Account(name)) for name in ("Ada", "Eve")}
    with Server(round_.folder, "--accounts", str(path)) as server:
        assert "Accounts that are not in this round: Eve" in server.log
        assert (
            f"Annotators without an account: Bob. Add each one with: hggt-data accounts add NAME --accounts {path} "
            in server.log
        )
        assert f"Serving 1 of 2 annotators at {server.url}; each needs their personal URL." in server.log
        assert not any(token in server.log for token in tokens.values())

        def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx2.get(server.url + "api/round", headers=headers).status_code

        assert [status(tokens["Ada"]), status(tokens["Eve"]), status("x")] == [200, 403, 401]
        assert status(add_account(path, Account("Bob"))) == 200  # while it runs


@needs_openssl
def test_other_machines_are_served_over_https(round_: Round, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "-nodes")
    accounts = tmp_path / "accounts.json"
    token = add_account(accounts, Account("Ada"))
    options = ["--accounts", accounts, "--host", "0.0.0.0", "--allow-host", "lab.example", "--i-have-permission"]
    tls = ["--tls-certificate", certificate, "--tls-key", key]
    with Server(round_.folder, *map(str, [*options, *tls]), scheme="https") as server:
        assert f"annotators at https://lab.example:{server.port}/" in server.log
        context = ssl.create_default_context(cafile=str(certificate))
        headers = {"Authorization": f"Bearer {token}", "Host": "lab.example"}
        with httpx2.Client(verify=context) as client:
            path = f"https://127.0.0.1:{server.port}/api/round"
            names = {"sni_hostname": "lab.example"}
            assert client.get(path, headers=headers, extensions=names).json()["name"] == "Ada"
            assert client.get(path, headers=headers | {"Host": "other.example"}, extensions=names).status_code == 400


def test_other_machines_are_served_over_http_only_on_request(round_: Round, tmp_path: Path) -> None:
    token = add_account(tmp_path / "accounts.json", Account("Ada"))
    options = ["--accounts", str(tmp_path / "accounts.json"), "--allow-host", "lab.example", "--i-have-permission"]
    headers = {"Authorization": f"Bearer {token}", "Host": "lab.example"}
    proxied = headers | {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
    with Server(round_.folder, *options) as server:
        refused = httpx2.get(f"{server.url}api/round", headers=headers)
        assert refused.status_code == 403
        assert "https" in refused.json()["error"]
        assert httpx2.get(f"{server.url}api/round", headers=proxied).status_code == 200
        assert f"Refused a request: {refused.json()['error']}" in server.log
        assert "annotators at https://lab.example/;" in server.log
        assert f"Set up a web server for https://lab.example/ that forwards to {server.url}" in server.log
    with Server(round_.folder, *options, "--host", "0.0.0.0", "--plain-http") as server:
        assert httpx2.get(f"{server.url}api/round", headers=headers).status_code == 200


def test_a_served_round_is_locked(round_: Round) -> None:
    with lock_folder(round_.folder):
        result = refuse(round_.folder, "--annotator", "Ada")
    assert result.exit_code == 1
    assert "is in use by hggt-data annotate or hggt-data reassign; stop that first" in result.output


def test_a_port_in_use(round_: Round) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = refuse(round_.folder, "--annotator", "Ada", "--port", taken.getsockname()[1])
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1:" in result.output
    assert "choose another --host or --port" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "this round has several annotators (Ada, Bob); pass --annotator or --accounts"),
        (["--annotator", "Carl"], "'Carl' is not an annotator of this round; expected one of Ada, Bob"),
        (["--host", "192.0.2.1", "--annotator", "Ada"], "requires accounts; pass --accounts"),
        (
            ["--host", "0.0.0.0", "--accounts", "{accounts}"],
            "requires the host name that other machines use; pass --allow-host",
        ),
        (["--host", "0.0.0.0", "--accounts", "{accounts}", "--allow-host", "lab"], "without encryption"),
        (["--annotator", "Ada", "--tls-key", "{accounts}"], "pass both --tls-certificate and --tls-key"),
    ],
)
def test_unsafe_or_ambiguous_settings_are_refused(
    round_: Round, tmp_path: Path, options: list[str], message: str
) -> None:
    path = tmp_path / "accounts.json"
    add_account(path, Account("Ada"))
    result = refuse(round_.folder, *(option.format(accounts=path) for option in options))
    assert result.exit_code == (1 if "Carl" in options else 2), result.output
    assert message in result.output


def refuse_certificate(round_: Round, certificate: Path, key: Path) -> str:
    """The error for these files; no URL is printed before it."""
    result = refuse(round_.folder, "--annotator", "Ada", "--tls-certificate", certificate, "--tls-key", key)
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    return line


def test_files_that_are_not_a_certificate_are_named(round_: Round, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text("text")
    key.write_text("text")
    line = refuse_certificate(round_, certificate, key)
    assert f"{certificate} and {key} are not a certificate and its key in PEM format" in line


@needs_openssl
def test_a_key_with_a_password_is_refused_without_asking_for_it(round_: Round, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "-passout", "pass:secret")
    assert f"{key} is protected by a password; expected an unencrypted key" in refuse_certificate(
        round_, certificate, key
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "is not an annotation round: assignments.json is missing; create a round with hggt-data deal"),
        (b"[]", "assignments.json is damaged"),
        (b'{"format": 99}', "format 99, expected 1"),
    ],
)
def test_folders_that_are_not_rounds(tmp_path: Path, damage: bytes | None, message: str) -> None:
    folder = tmp_path / "round"
    folder.mkdir()
    if damage is not None:
        (folder / "assignments.json").write_bytes(damage)
    result = refuse(folder)
    assert result.exit_code == 1
    assert message in result.output.replace("\n", " ")


def test_patches_can_be_moved_with_the_round_or_alone(round_: Round, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("round", "pictures"):
        (tmp_path / name).rename(elsewhere / name)
    round_ = read_round(elsewhere / "round")
    assert round_.patches.resolve() == (elsewhere / "pictures/images/0-9").resolve()
    moved = tmp_path / "moved"
    round_.patches.rename(moved)
    result = refuse(round_.folder, "--annotator", "Ada")
    assert result.exit_code == 1
    assert "the patches of this round are missing; pass their new folder as --patches" in result.output
    with Server(round_.folder, "--annotator", "Ada", "--patches", str(moved)) as server:
        headers = token_of(server.url_of("Ada"))
        [item, *_] = httpx2.get(server.url + "api/batches/0", headers=headers).json()
        assert httpx2.get(f"{server.url}api/items/{item['id']}/pictures/0", headers=headers).status_code == 200


def test_a_dropped_annotator_is_refused(round_: Round) -> None:
    ada, bob = round_.annotators
    write_round(round_.with_annotators((ada, replace(bob, is_active=False))))
    result = refuse(round_.folder, "--annotator", "Bob")
    assert "Bob was dropped from this round; add the annotator again with hggt-data reassign" in result.output
    with Server(round_.folder) as server:  # the only one left
        assert server.url_of("Ada")


def test_missing_packages_are_named_with_the_extra(round_: Round) -> None:
    code = "import sys\nsys.modules['uvicorn'] = None\nfrom hggt_data.cli.main import main\nmain()"
    command = [sys.executable, "-c", code, "annotate", str(round_.folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "pip install 'hggt[annotate]'" in run.stderr


def accounts(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["accounts", *map(str, arguments)])


def test_the_account_commands(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    added = accounts("add", "Ada", "--accounts", path, "--url", "https://lab.example/hggt")
    assert added.output.startswith("https://lab.example/hggt/#")
    for url in ("lab.example:8000", "http://lab/#x", "https://"):
        wrong = accounts("add", "Eve", "--accounts", path, "--url", url)
        assert wrong.exit_code == 2
        assert f"--url {url!r} is not the URL of a server" in wrong.output
    assert accounts("add", "lab", "--admin", "--accounts", path).output.startswith("http://127.0.0.1:8000/admin#")
    assert accounts("list", "--accounts", path).output == "Ada\nlab (admin)\n"
    assert accounts("add", "Ada", "--accounts", path).exit_code == 1
    assert accounts("remove", "Ada", "--accounts", path).exit_code == 0
    assert accounts("list", "--accounts", path).output == "lab (admin)\n"


@pytest.mark.parametrize(
    ("license", "options", "is_refused"),
    [
        ("hggt-terms", ["--allow-host", "lab.example.org"], True),
        ("hggt-terms", ["--allow-host", "8.8.8.8"], True),
        ("hggt-terms", ["--host", "8.8.8.8", "--plain-http"], True),
        ("other:unknown", ["--allow-host", "lab.example.org"], True),
        ("hggt-terms", ["--allow-host", "lab.example.org", "--i-have-permission"], False),
        ("hggt-terms", ["--allow-host", "10.1.2.3", "--allow-host", "lab.local"], False),
        ("cc-by-4.0", ["--allow-host", "lab.example.org"], False),
    ],
)
def test_restricted_pictures_stay_inside_the_organisation(
    round_: Round, tmp_path: Path, license: str, options: list[str], is_refused: bool
) -> None:
    """Those that are allowed fail later, because pictures of the instructions are missing."""
    write_round(replace(round_, license=license))
    add_account(tmp_path / "accounts.json", Account("Ada"))
    (round_.folder / "instructions.md").write_text("![x](instructions/x.png) ![y](https://example.org/y.png)")
    result = refuse(round_.folder, "--accounts", tmp_path / "accounts.json", *options)
    message = " ".join(result.output.split())
    if is_refused:
        assert "may be reached from outside your organisation" in message
        assert "pass --i-have-permission" in message
    else:
        assert "2 pictures cannot be shown: https://example.org/y.png, instructions/x.png" in message
