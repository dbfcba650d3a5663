"""Networks on the Hub: what is sent, what is refused, and that they come back unchanged."""

import json
from pathlib import Path

import pytest
import torch

from hggt_data.io.images import read_pixels, write_png
from hggt_models.networks import build_network
from hggt_models.networks.checkpoint import load_checkpoint, load_network, save_network
from hggt_models.push import format_model_card
from tests.hggt_data.trees import noise
from tests.hub_client import HubClient, Outcome
from tests.hub_server import Do, Fault, HubServer

METADATA = {"recipe": "rrdb-gan-positive", "data": "lab/hggt", "data_revision": "v1.0", "data_license": "cc-by-4.0"}
REPO = "lab/rrdb"


@pytest.fixture
def weights(member: HubClient) -> Path:
    """A small generator with metadata, in the folder where the client works."""
    torch.manual_seed(0)
    path = member.folder / "rrdb.safetensors"
    save_network(build_network("rrdb", num_block=1, num_feat=8, num_grow_ch=4), path, METADATA)
    return path


def push(client: HubClient, source: str, repo: str, *options: str) -> Outcome:
    return client.hggt_models("push", source, repo, "--yes", *options)


def digest_of(source: str, revision: str | None = None) -> dict[str, float]:
    """The sum of each tensor of a network, computed in the client's process."""
    network = load_network(source, revision=revision)
    return {key: float(tensor.double().sum()) for key, tensor in network.state_dict().items()}


def test_a_network_goes_there_and_comes_back(hub: HubServer, member: HubClient, weights: Path) -> None:
    outcome = push(member, "rrdb.safetensors", REPO, "--tag", "v1")
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
    assert member.call(digest_of, REPO, "v1") == digest_of(str(weights))
    assert member.having(HF_HUB_OFFLINE="1").call(digest_of, REPO, "v1") == digest_of(str(weights))


def test_upscale_takes_a_network_from_the_hub(hub: HubServer, member: HubClient, weights: Path) -> None:
    push(member, "rrdb.safetensors", REPO)
    (member.folder / "in").mkdir()
    write_png(member.folder / "in" / "a.png", noise((9, 7), "a"))
    for source, output in ((REPO, "there"), ("rrdb.safetensors", "here")):
        done = member.hggt_models("upscale", "--weights", source, "--input", "in", "--output", output)
        assert done.exit_code == 0, done.err
    there, here = (read_pixels(member.folder / name / "a.png") for name in ("there", "here"))
    assert there.shape == (36, 28, 3)
    assert (there == here).all()


def test_the_card_inherits_the_licence_and_says_where_it_is_from(member: HubClient, weights: Path) -> None:
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
    restricted = format_model_card(load_checkpoint(weights), REPO, None)
    assert "license: other\n" in restricted
    assert "license_name: hggt-terms\n" in restricted
    assert "non-commercial academic research only" in restricted


def test_a_network_of_restricted_or_unknown_data_is_not_made_public(
    hub: HubServer, member: HubClient, weights: Path
) -> None:
    save_network(load_network(weights), member.folder / "unknown.safetensors")
    refused = push(member, "unknown.safetensors", REPO, "--public")
    assert refused.exit_code == 1
    assert "Its terms forbid copying" in refused.err
    assert "name the licence with --license, or pass --i-have-permission" in refused.err
    assert hub.snapshot() == {}
    assert push(member, "unknown.safetensors", REPO, "--public", "--license", "cc0-1.0").exit_code == 0
    assert hub.repo(REPO).private is False


def test_a_dry_run_sends_nothing(hub: HubServer, member: HubClient, weights: Path) -> None:
    outcome = push(member, "rrdb.safetensors", REPO, "--dry-run", "--gated", "manual", "--tag", "v1")
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


def test_the_same_again_sends_nothing(hub: HubServer, member: HubClient, weights: Path) -> None:
    assert push(member, "rrdb.safetensors", REPO).exit_code == 0
    before = hub.snapshot()
    outcome = push(member, "rrdb.safetensors", REPO)
    assert "upload      0 files of 3, 0 bytes" in outcome.out
    assert "    unchanged  README.md" in outcome.out
    assert hub.snapshot() == before


def test_nothing_is_sent_without_confirmation(hub: HubServer, member: HubClient, weights: Path) -> None:
    outcome = member.hggt_models("push", "rrdb.safetensors", REPO)
    assert outcome.exit_code == 2
    assert "not a terminal: pass --yes to push without confirmation" in " ".join(outcome.err.split())
    assert hub.snapshot() == {}


def test_a_licence_that_the_weights_name_cannot_be_replaced(hub: HubServer, member: HubClient, weights: Path) -> None:
    for told in ("hggt-terms", "cc-by-nc-4.0"):
        save_network(load_network(weights), member.folder / "told.safetensors", {"data_license": told})
        refused = push(member, "told.safetensors", REPO, "--public", "--license", "cc0-1.0")
        assert refused.exit_code == 1
        assert f"the weights say that their training data is under {told}; --license is only for" in refused.err
    save_network(load_network(weights), member.folder / "told.safetensors", {"data_license": "hggt-terms"})
    refused = push(member, "told.safetensors", REPO, "--public")
    assert refused.exit_code == 1
    assert "Its terms forbid copying" in refused.err
    assert "--license" not in refused.err
    assert hub.snapshot() == {}


@pytest.mark.parametrize("license_id", ["Free for All!", "hggt-terms", "other"])
def test_an_id_that_is_not_a_licence_is_refused(
    hub: HubServer, member: HubClient, weights: Path, license_id: str
) -> None:
    outcome = push(member, "rrdb.safetensors", REPO, "--license", license_id)
    assert outcome.exit_code == 2
    assert "is not a licence id" in outcome.err
    assert hub.snapshot() == {}


def test_a_licence_that_the_hub_does_not_know_is_reported_before_anything_is_sent(
    hub: HubServer, member: HubClient, weights: Path
) -> None:
    save_network(load_network(weights), member.folder / "unknown.safetensors")
    refused = push(member, "unknown.safetensors", REPO, "--license", "lab-1.0")
    assert refused.exit_code == 1
    assert f'the Hub rejects the card of {REPO}: "license" must be one of' in refused.err
    assert hub.snapshot() == {}


@pytest.mark.parametrize("config", [b'{"model_type": "bert"}', b'{"network": "unet"}', b"[]", b"no JSON"])
def test_a_model_of_another_project_is_left_alone(
    hub: HubServer, member: HubClient, weights: Path, config: bytes
) -> None:
    push(member, "rrdb.safetensors", REPO)
    hub.push(REPO, {"config.json": config, "tokenizer.json": b"{}"})
    before = hub.snapshot()
    refused = push(member, "rrdb.safetensors", REPO)
    assert refused.exit_code == 1
    assert (
        f"{hub.url}/{REPO} contains a model that hggt did not write (see its config.json). Choose another"
        in refused.err
    )
    assert hub.snapshot() == before


def test_a_repository_of_someone_else_is_left_alone(hub: HubServer, member: HubClient, weights: Path) -> None:
    push(member, "rrdb.safetensors", REPO)
    hub.push(REPO, {"config.json": None, "pytorch_model.bin": b"theirs"})
    before = hub.snapshot()
    refused = push(member, "rrdb.safetensors", REPO)
    assert refused.exit_code == 1
    assert "contains files that hggt did not write" in refused.err
    assert hub.snapshot() == before


def test_a_push_that_was_killed_resumes(hub: HubServer, member: HubClient, weights: Path) -> None:
    hub.faults = [Fault("PUT", "/lfs/", Do(member.kill, "after"))]
    assert push(member, "rrdb.safetensors", REPO).exit_code == -9
    assert set(hub.files(REPO)) == {".gitattributes"}
    assert push(member, "rrdb.safetensors", REPO).exit_code == 0
    assert hub.files(REPO)["model.safetensors"] == weights.read_bytes()


def test_the_folder_of_a_training_run_stands_for_its_last_weights(
    hub: HubServer, member: HubClient, weights: Path
) -> None:
    run = member.folder / "run" / "weights"
    run.mkdir(parents=True)
    save_network(build_network("rrdb", num_block=1, num_feat=4, num_grow_ch=4), run / "9000.safetensors")
    weights.rename(run / "10000.safetensors")
    outcome = push(member, "run", REPO)
    assert outcome.exit_code == 0, outcome.err
    assert json.loads(hub.files(REPO)["config.json"])["args"]["num_feat"] == 8
