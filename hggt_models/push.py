"""Publish a trained network on the Hugging Face Hub: its weights, its configuration, and a card that says where it is
from.

The card inherits the licence of the data the network learned from. What a checkpoint knows of its training stands in
its metadata, under the keys `recipe`, `data`, `data_revision`, `data_license`, `iteration`, `started_from` and `note`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hggt_data.card import HGGT_LICENSE_NAME, HGGT_TERMS
from hggt_data.errors import PublishError
from hggt_data.files import write_json, write_text
from hggt_data.hub import MAIN, REPO_ID, Destination, Repository
from hggt_data.manifest import FileRecord, describe_file
from hggt_data.wording import plural
from hggt_models.checkpoint import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, load_checkpoint, save_network

_CARD_FILE = "README.md"


@dataclass(frozen=True, kw_only=True)
class PushSettings(Destination):
    """What to publish, and where; the names are those of the command's flags.

    Attributes:
        source: a checkpoint, or the folder of a training run.
        license: a licence id, where the checkpoint does not tell that of its data.
        i_have_permission: allow a public push of a network that learned from data under the HGGT terms.
    """

    source: Path
    license: str | None = None
    i_have_permission: bool = False


@dataclass(frozen=True)
class Push:
    """A network ready to go out."""

    settings: PushSettings
    repository: Repository
    folder: Path
    contents: list[FileRecord]
    sha256: str
    is_new: bool

    def describe(self) -> list[str]:
        """What would happen, a line each."""
        state = "new" if self.is_new else "is there already"
        files = [f"    {record.path:20} {record.size_bytes:>15,}" for record in self.contents]
        head = f"  repository  {state}; {self.settings.visibility}"
        return [f"{self.settings.source} -> {self.repository.url}", head, f"  {plural(len(files), 'file')}", *files]

    def send(self) -> str:
        """Create the repository if need be and bring the files to its main branch; the commit."""
        self.repository.create(self.settings.visibility, self.settings.gated)
        return self.repository.publish(
            self.folder,
            self.contents,
            [],
            title=f"hggt network {self.sha256[:12]}",
            visibility=self.settings.visibility,
            tag=self.settings.tag,
        )


@contextmanager
def open_push(settings: PushSettings) -> Iterator[Push]:
    """Check everything and lay out what will be sent.

    Raises:
        CheckpointError, WeightsError: the checkpoint cannot be used.
        PublishError: the licence, the visibility or the content of the repository stands against it.
        HubError: the Hub cannot be asked.
    """
    checkpoint = load_checkpoint(settings.source)
    licence = settings.license or checkpoint.metadata.get("data_license")
    if settings.public and licence in (None, HGGT_LICENSE_NAME) and not settings.i_have_permission:
        raise PublishError(
            f"{settings.source}: the licence of the data it learned from is that of HGGT, or not known, so it is not "
            f"made public: {HGGT_TERMS} Publish it privately (leave out --public), name the licence with --license, or "
            "pass --i-have-permission."
        )
    repository = Repository(settings.repo_id, "model")
    repository.require_writer()
    repository.require_visibility(settings.visibility)
    remote = None if repository.visibility() is None else repository.list_files(MAIN)
    repository.require_own(remote or {}, CONFIG_FILE)
    with tempfile.TemporaryDirectory(prefix="hggt-push-") as temporary:
        folder = Path(temporary)
        save_network(checkpoint.build(), folder / WEIGHTS_FILE, checkpoint.metadata)
        config = {"network": checkpoint.network_name, "args": dict(checkpoint.args), **checkpoint.metadata}
        write_json(folder / CONFIG_FILE, config)
        write_text(folder / _CARD_FILE, format_model_card(checkpoint, settings.repo_id, licence))
        contents = [describe_file(folder, path) for path in (WEIGHTS_FILE, CONFIG_FILE, _CARD_FILE)]
        if settings.tag and remote is not None:
            repository.require_free_tag(settings.tag, contents, folder)
        yield Push(settings, repository, folder, contents, checkpoint.sha256, remote is None)


def format_model_card(checkpoint: Checkpoint, repo_id: str, licence: str | None) -> str:
    """The text of the card.

    Args:
        checkpoint: what is published.
        repo_id: where.
        licence: of the data the network learned from; null if not known, which counts as the HGGT terms.
    """
    from huggingface_hub import ModelCardData

    known = checkpoint.metadata
    is_restricted = licence in (None, HGGT_LICENSE_NAME)
    data = ModelCardData(
        license="other" if is_restricted else licence,
        license_name=HGGT_LICENSE_NAME if is_restricted else None,
        pipeline_tag="image-to-image",
        tags=["super-resolution", "image-restoration", "hggt"],
        datasets=[known["data"]] if REPO_ID.fullmatch(known.get("data", "")) else None,
    )
    args = ", ".join(f"{name} {value}" for name, value in checkpoint.args.items())
    rows = {
        "network": f"`{checkpoint.network_name}`: {args}",
        "recipe": known.get("recipe", "not known"),
        "data": known.get("data", "not known"),
        "data revision": known.get("data_revision", "not known"),
        **{name.replace("_", " "): known[name] for name in ("iteration", "started_from", "note") if name in known},
        "weights": f"`{checkpoint.source_key or 'params'}` of the file with SHA-256 `{checkpoint.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    terms = f"{HGGT_TERMS} A network trained on it is passed on under the same terms." if is_restricted else ""
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {repo_id.partition('/')[2]}\n\nA network for real-world image "
        "super-resolution, made with hggt in the form of HGGT (CVPR 2023).\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f'```python\nfrom hggt_models.checkpoint import load_network\n\nnetwork = load_network("{repo_id}")\n```\n\n'
        f"```sh\nhggt-models upscale --weights {repo_id} --input DIR --output DIR\n```\n\n"
        f"## Licence\n\n{terms or f'The data it learned from is under `{licence}`.'}\n"
    )
