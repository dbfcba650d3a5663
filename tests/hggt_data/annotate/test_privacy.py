"""What people did not give for publication stays in the round, and no address or browser is kept anywhere."""

import socket
from pathlib import Path

import httpx2
import pyarrow as pa

from hggt_data import BuildSettings, build_dataset, export_round, merge_round, open_groups
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.dataset.reader import DatasetSource
from hggt_data.hub.pseudonyms import has_zoom, make_pseudonymizer
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.annotate.servers import Server
from tests.hggt_data.annotate.web.test_app import BODY

ADDRESS, AGENT, REASON = "127.0.0.77", "PrivateAgent/1.5", "my aunt is in it"
DISPLAY = {"zoom": 3.1875, "screen_width": 7919}
SECRETS = (ADDRESS, AGENT, REASON, "3.1875", "7919", "2.71875", "full_zoom_s")


def files_with(folder: Path, *words: str) -> set[str]:
    """The words that occur in any file of a folder."""
    data = b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return {word for word in words if word.encode() in data}


def test_addresses_are_nowhere_and_what_is_private_is_not_published(tmp_path: Path) -> None:
    round_ = make_round(tmp_path, {name: [votes(*IDS)] for name in ("Ada", "Bob")})
    transport = httpx2.HTTPTransport(local_address=ADDRESS)
    body = BODY | {"display": DISPLAY, "full_zoom_s": [2.71875] * 4}
    tokens = [add_account(tmp_path / "accounts.json", Account(one.name)) for one in round_.annotators]
    with (
        Server(round_.folder, "--accounts", str(tmp_path / "accounts.json")) as server,
        httpx2.Client(base_url=server.url, transport=transport, headers={"User-Agent": AGENT}) as client,
    ):
        for token in tokens:
            client.headers["Authorization"] = f"Bearer {token}"
            first, *others = [item["id"] for item in client.get("api/batches/0").json()]
            assert client.put(f"api/items/{first}/skip", json={"reason": REASON}).status_code == 200
            for item in others:
                assert client.put(f"api/items/{item}/answer", json=body).status_code == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Authorization": "Bearer x"}):
            assert client.get("api/round", headers=headers).is_error
        with socket.create_connection(("127.0.0.1", server.port), source_address=(ADDRESS, 0)) as broken:
            broken.sendall(f"PUT /api/items/{first}/answer HTTP/1.1\r\nUser-Agent: {AGENT}\r\n".encode())
        assert "Refused a request" in server.log
        assert not [word for word in (ADDRESS, AGENT) if word in server.log]
    assert files_with(round_.folder, *SECRETS) == {*SECRETS} - {ADDRESS, AGENT}
    merge_round(round_.folder, tmp_path / "tree", workers=1)
    export_round(round_.folder, tmp_path / "answers")
    build_dataset(BuildSettings([tmp_path / "tree"], tmp_path / "dataset", workers=1))
    for name in ("tree", "answers", "dataset"):
        assert files_with(tmp_path / name, *SECRETS) == set(), name
    assert not {*SECRETS}.intersection(map(str, open_groups(tmp_path / "dataset", "train")))
    labels = {"train": DatasetSource(tmp_path / "dataset", "train", "dataset").label_table()}
    assert has_zoom(labels)
    pseudonymizer = make_pseudonymizer(labels, {})
    rows = [pseudonymizer.replace(row) for row in labels["train"].to_pylist()]
    assert not has_zoom({"train": pa.Table.from_pylist(rows)})
