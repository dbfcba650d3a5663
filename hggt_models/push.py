"""Publish a trained network on the Hugging Face Hub: its weights, its configuration, and a card that says where it is
from.

The card inherits the licence of the data the network learned from. What a checkpoint knows of its training stands in
its metadata, under the keys `recipe`, `data`, `data_revision`, `data_license`, `iteration`, `started_from` and `note`.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hggt_data.dataset.manifest import CARD_FILE
from hggt_data.errors import PublishError
from hggt_data.hub.plan import Destination, describe_plan, title_of
from hggt_data.hub.repository import MAIN, REPO_ID, RemoteFile, Repository
from hggt_data.io.files import FileDigest, digest_of_file, write_json, write_text
from hggt_data.licence import HGGT_LICENSE_NAME, HGGT_TERMS, describe_license, is_restricted, require_license_id
from hggt_models.networks import NETWORKS
from hggt_models.networks.checkpoint import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, load_checkpoint, save_network


@dataclass(frozen=True, kw_only=True)
class PushSettings(Destination):
    """What to publish, and where; the names are those of the command's flags.

    Attributes:
        source: Checkpoint, or folder of a training run.
        license: Licence id of the training data, if the checkpoint does not name it.
        i_have_permission: Allow a public push of a network trained on HGGT-licensed data.

    Raises:
        HubError, PublishError: a name or `license` is none.
    """

    source: Path
    license: str | None = None
    i_have_permission: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.license is not None:
            require_license_id(self.license)


@dataclass(frozen=True)
class Push:
    """A network ready to go out.

    Attributes:
        settings: what was asked.
        repository: where to.
        folder: holds the files to send.
        contents: the files.
        remote: what is there already; null if there is no repository.
        license: of the data it learned from; null if not known.
    """

    settings: PushSettings
    repository: Repository
    folder: Path
    contents: Sequence[FileDigest]
    remote: dict[str, RemoteFile] | None
    license: str | None

    def describe(self) -> list[str]:
        """What would happen, a line each."""
        return describe_plan(
            self.settings.source,
            self.repository,
            self.settings,
            notes=[("licence", describe_license(self.license))],
            folder=self.folder,
            contents=self.contents,
            remote=self.remote,
        )

    def push(self) -> str:
        """Create the repository if need be and bring the files to its main branch; the commit.

        Raises:
            PublishError: the repository has become visible to others meanwhile, or the tag is taken.
            HubError: something failed; run it again.
        """
        self.repository.create(self.settings.visibility, self.settings.gated)
        return self.repository.publish(
            self.folder,
            self.contents,
            [],
            title=title_of("network", self.contents),
            visibility=self.settings.visibility,
            tag=self.settings.tag,
        )


@contextmanager
def open_push(settings: PushSettings) -> Iterator[Push]:
    """Check everything and lay out what will be sent.

    Raises:
        CheckpointError, WeightsError: the checkpoint cannot be used.
        PublishError: the licence, the repository's visibility or content, the card or the tag stands against it.
        HubError: the Hub cannot be asked.
    """
    checkpoint = load_checkpoint(settings.source)
    licence = _find_license(settings, checkpoint)
    repository = Repository(settings.repo_id, "model")
    repository.require_writer()
    is_there = repository.require_visibility(settings.visibility) is not None
    remote = repository.list_files(MAIN) if is_there else None
    repository.require_own(remote or {}, CONFIG_FILE)
    if remote and CONFIG_FILE in remote:
        _require_network(repository)
    with tempfile.TemporaryDirectory(prefix="hggt-push-") as temporary:
        folder = Path(temporary)
        save_network(checkpoint.build(), folder / WEIGHTS_FILE, checkpoint.metadata)
        config = {"network": checkpoint.network_name, "args": dict(checkpoint.args), **checkpoint.metadata}
        write_json(folder / CONFIG_FILE, config)
        card = format_model_card(checkpoint, settings.repo_id, licence)
        write_text(folder / CARD_FILE, card)
        contents = [digest_of_file(folder, path) for path in (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE)]
        repository.require_card(card)
        if settings.tag and remote is not None:
            repository.require_free_tag(settings.tag, contents, folder)
        yield Push(settings, repository, folder, contents, remote, licence)


def _find_license(settings: PushSettings, checkpoint: Checkpoint) -> str | None:
    """The licence of the data: what the checkpoint tells of it, else what the user says; null if not known.

    Raises:
        PublishError: the two differ, or it does not allow to make the network public.
    """
    told = checkpoint.metadata.get("data_license")
    if settings.license is not None and told not in (None, settings.license):
        raise PublishError(
            f"{settings.source} says that the data it learned from is under {told}; --license {settings.license} is "
            "for weights that do not tell. Leave it out."
        )
    licence = told or settings.license
    if settings.public and is_restricted(licence) and not settings.i_have_permission:
        advice = "" if told else "name the licence with --license, "
        raise PublishError(
            f"{settings.source}: the licence of the data it learned from is that of HGGT, or not known, so it is not "
            f"made public: {HGGT_TERMS} Publish it privately (leave out --public), {advice}or pass --i-have-permission."
        )
    return licence


def _require_network(repository: Repository) -> None:
    """Refuse a repository with a model of another project, which has a configuration of the same name.

    Raises:
        PublishError: it is none of our networks.
    """
    try:
        config = json.loads(repository.read_file(CONFIG_FILE, MAIN) or b"")
    except ValueError:
        config = None
    if not isinstance(config, dict) or config.get("network") not in tuple(NETWORKS):
        raise PublishError(
            f"{repository.url} holds a model that hggt has not published (see its {CONFIG_FILE}). Choose another name."
        )


def format_model_card(checkpoint: Checkpoint, repo_id: str, licence: str | None) -> str:
    """The text of the card.

    Args:
        checkpoint: what is published.
        repo_id: where.
        licence: of the data the network learned from; null if not known, which counts as the HGGT terms.
    """
    from huggingface_hub import ModelCardData

    known = checkpoint.metadata
    restricted = is_restricted(licence)
    data = ModelCardData(
        license="other" if restricted else licence,
        license_name=HGGT_LICENSE_NAME if restricted else None,
        pipeline_tag="image-to-image",
        tags=["super-resolution", "image-restoration", "hggt"],
        datasets=[known["data"]] if REPO_ID.fullmatch(known.get("data", "")) else None,
    )
    args = ", ".join(f"{name} {value}" for name, value in checkpoint.args.items())
    of_entry = f"`{checkpoint.source_key}` of " if checkpoint.source_key else ""
    rows = {
        "network": f"`{checkpoint.network_name}`: {args}",
        "recipe": known.get("recipe", "not known"),
        "data": known.get("data", "not known"),
        "data revision": known.get("data_revision", "not known"),
        **{name.replace("_", " "): known[name] for name in ("iteration", "started_from", "note") if name in known},
        "weights": f"{of_entry}the file with SHA-256 `{checkpoint.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    terms = f"{HGGT_TERMS} A network trained on it is passed on under the same terms." if restricted else ""
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {repo_id.partition('/')[2]}\n\nA network for real-world image "
        "super-resolution, made with hggt in the form of HGGT (CVPR 2023).\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f'```python\nfrom hggt_models import load_network\n\nnetwork = load_network("{repo_id}")\n```\n\n'
        f"```sh\nhggt-models upscale --weights {repo_id} --input DIR --output DIR\n```\n\n"
        f"## Licence\n\n{terms or f'The data it learned from is under `{licence}`.'}\n"
    )
