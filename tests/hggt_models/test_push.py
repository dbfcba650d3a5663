"""Networks on the Hub: what is sent, what is refused, and that they come back unchanged."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hggt_data.errors import PublishError, SettingsError
from hggt_data.io.images import read_pixels, write_png
from hggt_data.licence import HGGT_TERMS
from hggt_models.networks import build_network
from hggt_models.networks.checkpoint import load_checkpoint, load_network, save_network
from hggt_models.push import PushSettings, format_model_card, open_push
from tests.hggt_data.trees import noise
from tests.hub_client import ForkServer, HubClient
from tests.hub_server import Do, Fault, HubServer

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the Hub client's own

METADATA = {"recipe": "rrdb-gan-positive", "data": "lab/hggt", "data_revision": "v1.0", "data_license": "cc-by-4.0"}
METADATA["config"] = json.dumps({"batch_size": 12, "loss": {"pixel": 1.0}})
REPO = "lab/rrdb"


@pytest.fixture(autouse=True)
def _no_network() -> None:
    """Allow connections, because the Hub of the tests is on this machine."""


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServer]:
    """Processes that have PyTorch already, which takes seconds to import."""
    with ForkServer("hggt_models.cli", "hggt_models.inference.folders", "hggt_models.push") as server:
        yield server


@pytest.fixture
def weights(online: None, member: HubClient, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small generator with metadata, in the current folder, which is also the client's."""
    monkeypatch.chdir(member.folder)
    torch.manual_seed(0)
    path = member.folder / "rrdb.safetensors"
    save_network(build_network("rrdb", num_block=1, num_feat=8, num_grow_ch=4), path, METADATA)
    return path


def push(source: str = "rrdb.safetensors", **settings: Any) -> list[str]:
    """Push a network and return the plan."""
    with open_push(PushSettings(source=Path(source), repo_id=REPO, **settings)) as found:
        plan = found.describe()
        found.push()
    return plan


def digest_of(source: str, revision: str | None = None) -> dict[str, float]:
    """The sum of each tensor of a network."""
    network = load_network(source, revision=revision)
    return {key: float(tensor.double().sum()) for key, tensor in network.state_dict().items()}


def test_a_pushed_network_is_downloaded_unchanged(hub: HubServer, member: HubClient, weights: Path) -> None:
    outcome = member.hggt_models("push", "rrdb.safetensors", REPO, "--yes", "--tag", "v1")
    assert outcome.exit_code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == 'Load it: load_network("lab/rrdb", revision="v1")'
    repo = hub.repo(REPO)
    assert (repo.kind, repo.private) == ("model", True)
    files = hub.files(REPO)
    assert files["model.safetensors"] == weights.read_bytes()
    config = json.loads(files["config.json"])
    assert config["network"] == "rrdb"
    assert config["args"]["num_feat"] == 8
    assert config["recipe"] == "rrdb-gan-positive"
    assert config["config"] == {"batch_size": 12, "loss": {"pixel": 1.0}}
    assert digest_of(REPO, "v1") == digest_of(str(weights))
    assert member.having(HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(member.folder.parent / "hub-cache")).call(
        digest_of, REPO, "v1"
    ) == digest_of(str(weights))
    before = hub.snapshot()
    plan = push(tag="v1")
    assert "  upload      0 files of 3, 0 bytes" in plan
    assert any(line.startswith("    unchanged  README.md") for line in plan)
    assert hub.snapshot() == before


def test_upscale_accepts_a_network_on_the_hub(member: HubClient, weights: Path) -> None:
    push()
    (member.folder / "in").mkdir()
    write_png(member.folder / "in" / "a.png", noise((9, 7), "a"))
    for source, output in ((REPO, "remote"), ("rrdb.safetensors", "local")):
        done = member.hggt_models("upscale", "--weights", source, "--input", "in", "--output", output)
        assert done.exit_code == 0, done.err
    remote, local = (read_pixels(member.folder / name / "a.png") for name in ("remote", "local"))
    assert remote.shape == (36, 28, 3)
    assert (remote == local).all()


def test_the_card_inherits_the_licence_and_names_recipe_and_data(weights: Path) -> None:
    card = format_model_card(load_checkpoint(weights), REPO, "cc-by-4.0")
    for text in (
        "license: cc-by-4.0\n",
        "datasets:\n- lab/hggt\n",
        "| recipe | rrdb-gan-positive |",
        "| data | lab/hggt |",
        "| data revision | v1.0 |",
    ):
        assert text in card
    assert "| weights | the file with SHA-256 `" in card


def test_metadata_of_the_weights_is_escaped_in_the_card(weights: Path) -> None:
    note = "a | b\n\n# Heading\n[click](https://evil.example) <img src=x> `code` **bold** @team www.evil.example"
    save_network(load_network(weights), weights, METADATA | {"note": note})
    assert (
        r"| note | a \| b \# Heading \[click\](https\://evil.example) \<img src=x\> \`code\` \*\*bold\*\* \@team "
        r"www\.evil.example |" + "\n"
    ) in format_model_card(load_checkpoint(weights), REPO, "cc-by-4.0")
    save_network(load_network(weights), weights, METADATA | {"data_license": "cc0-1.0`\n# Free"})
    with pytest.raises(PublishError, match=r"their training data is under 'cc0-1\.0`\\n# Free' is not a licence id"):
        push(public=True)


def test_the_card_says_the_terms(weights: Path) -> None:
    restricted = format_model_card(load_checkpoint(weights), REPO, "hggt-terms")
    assert "license: other\n" in restricted
    assert "license_name: hggt-terms\n" in restricted
    assert "non-commercial academic research only" in restricted


def test_a_network_of_restricted_or_unknown_data_is_not_made_public(hub: HubServer, weights: Path) -> None:
    for known, terms in ((None, HGGT_TERMS), ("hggt-terms", HGGT_TERMS), ("unknown", "ask its author before")):
        save_network(load_network(weights), Path("unknown.safetensors"), {"data_license": known} if known else {})
        with pytest.raises(PublishError, match=terms) as raised:
            push("unknown.safetensors", public=True)
        assert ("name the licence with `license`" in str(raised.value)) == (known != "hggt-terms")
        assert hub.snapshot() == {}
    push("unknown.safetensors", public=True, i_have_permission=True)
    assert hub.repo(REPO).private is False
    hub.repos.clear()
    save_network(load_network(weights), Path("unknown.safetensors"))
    push("unknown.safetensors", public=True, license="cc0-1.0")
    assert hub.repo(REPO).private is False


def test_a_licence_that_the_weights_name_cannot_be_replaced(hub: HubServer, weights: Path) -> None:
    message = "training data is under cc-by-4.0; `license` is only for weights that do not"
    with pytest.raises(PublishError, match=message):
        push(public=True, license="cc0-1.0")
    assert hub.snapshot() == {}


def test_licences_that_do_not_exist_are_reported_before_anything_is_sent(hub: HubServer, weights: Path) -> None:
    for license_id in ("Free for All!", "hggt-terms", "other"):
        with pytest.raises(SettingsError, match="is not a licence id"):
            push(license=license_id)
    save_network(load_network(weights), Path("unknown.safetensors"))
    with pytest.raises(PublishError, match=f'the Hub rejects the card of {REPO}: "license" must be one of'):
        push("unknown.safetensors", license="zlib")
    assert hub.snapshot() == {}


def test_the_plan_is_shown_first(hub: HubServer, member: HubClient, weights: Path) -> None:
    outcome = member.hggt_models("push", "rrdb.safetensors", REPO, "--dry-run", "--gated", "manual", "--tag", "v1")
    assert outcome.exit_code == 0
    assert hub.snapshot() == {}
    size = weights.stat().st_size
    for line in (
        f"rrdb.safetensors -> {hub.url}/{REPO}",
        "  repository  new; private, gated (manual)",
        "  licence     cc-by-4.0",
        "  tag         v1",
        f"    new        model.safetensors  {size:>15,}",
    ):
        assert line in outcome.out.splitlines()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": b'{"model_type": "bert"}'}, "contains a model that hggt did not write .see its config.json"),
        ({"config.json": None, "pytorch_model.bin": b"theirs"}, "contains files that hggt did not write"),
    ],
)
def test_a_model_of_another_project_is_not_overwritten(
    hub: HubServer, weights: Path, files: dict[str, bytes | None], message: str
) -> None:
    push()
    hub.push(REPO, files)
    before = hub.snapshot()
    with pytest.raises(PublishError, match=message):
        push()
    assert hub.snapshot() == before


def test_a_push_that_was_killed_resumes(hub: HubServer, member: HubClient, weights: Path) -> None:
    hub.faults = [Fault("PUT", "/lfs/", Do(member.kill, "after"))]
    outcome = member.hggt_models("push", "rrdb.safetensors", REPO, "--yes")
    assert outcome.exit_code == -signal.SIGKILL
    assert set(hub.files(REPO)) == {".gitattributes"}
    push()
    assert hub.files(REPO)["model.safetensors"] == weights.read_bytes()
    assert len([request for request in hub.requests if request.method == "PUT"]) == 1  # sent once


def test_the_folder_of_a_training_run_means_its_last_weights(hub: HubServer, weights: Path) -> None:
    run = Path("run") / "weights"
    run.mkdir(parents=True)
    save_network(build_network("rrdb", num_block=1, num_feat=4, num_grow_ch=4), run / "9000.safetensors")
    weights.rename(run / "10000.safetensors")
    push("run")
    assert json.loads(hub.files(REPO)["config.json"])["args"]["num_feat"] == 8
