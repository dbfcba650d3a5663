"""Push a trained network to the Hugging Face Hub: weights, configuration, and a card that says where it is from.

The card inherits the licence of the training data. A checkpoint's metadata describes its training, under the keys
`recipe`, `settings_from`, `config` (all settings, as JSON), `data`, `data_revision`, `data_license`, `iteration`,
`started_from` and `note`.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hggt_data.dataset.manifest import CARD_FILE
from hggt_data.errors import PublishError, SettingsError
from hggt_data.hub.plan import Destination, Push, look_up
from hggt_data.hub.repository import REPO_ID, Branch, Repository
from hggt_data.io.files import digest_of_file, write_json, write_text
from hggt_data.io.parsing import parse_json
from hggt_data.io.text import escape_markdown
from hggt_data.licence import (
    HGGT_LICENSE_NAME,
    UNKNOWN_LICENSE,
    card_license,
    describe_license,
    is_restricted,
    require_license_id,
    terms_of,
)
from hggt_data.ranges import require_kind
from hggt_models.networks import is_network_name
from hggt_models.networks.checkpoint import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, load_checkpoint


@dataclass(frozen=True, kw_only=True)
class PushSettings(Destination):
    """What to push, and where.

    Attributes:
        source: Checkpoint, or folder of a training run.
        license: Licence id of the training data, if the checkpoint does not name it.
        i_have_permission: Allow a public push of a network trained on data under the HGGT terms, or without a known
            licence.

    Raises:
        SettingsError: A value is not allowed, or `license` is not a licence id.

    Example:
        >>> from hggt_models import PushSettings
        >>> PushSettings(source="runs/pn", repo_id="my-lab/rrdb-pn").visibility
        'private'
    """

    source: str | Path
    license: str | None = None
    i_have_permission: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.license is not None:
            require_license_id(self.license)


@contextmanager
def open_push(settings: PushSettings) -> Iterator[Push]:
    """Check everything and write the files to send into a temporary folder, for the duration of the block.

    Args:
        settings: What to push, and where.

    Yields:
        The push: `describe` gives the lines of the plan; `push` sends the files and returns the commit.

    Raises:
        SettingsError: The settings are not a `PushSettings`.
        CheckpointError: the checkpoint cannot be used.
        PublishError: the licence, missing rights, or the repository's visibility, content or tags do not allow it.
        HubError: the Hub cannot be reached.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import PublishError
        >>> from hggt_models import PushSettings, build_network, open_push, save_network
        >>> path = Path(tempfile.mkdtemp(), "small.safetensors")
        >>> save_network(build_network("rrdb", num_block=1, num_feat=8, num_grow_ch=4), path)
        >>> try:
        ...     with open_push(PushSettings(source=path, repo_id="my-lab/small", public=True)) as push:
        ...         print(*push.describe(), sep="\\n")
        ...         commit = push.push()
        ... except PublishError as error:  # nothing says what data this network was trained on
        ...     print(str(error).partition(", so ")[2].partition(":")[0])
        the network cannot be made public
    """
    require_kind(PushSettings, "such as PushSettings(source=FILE, repo_id=NAME) of hggt_models", settings=settings)
    checkpoint = load_checkpoint(settings.source)
    licence = _find_license(settings, checkpoint)
    repository, main = look_up(settings, "model", CONFIG_FILE)
    _require_network(repository, main)
    with tempfile.TemporaryDirectory(prefix="hggt-push-") as temporary:
        folder = Path(temporary)
        checkpoint.save(folder / WEIGHTS_FILE)
        config: dict[str, Any] = {
            "network": checkpoint.network_name,
            "args": dict(checkpoint.args),
            **checkpoint.metadata,
        }
        if training := _training_settings(checkpoint):
            config["config"] = training
        write_json(folder / CONFIG_FILE, config)
        write_text(folder / CARD_FILE, format_model_card(checkpoint, settings.repo_id, licence))
        push = Push(
            source=Path(settings.source),
            destination=settings,
            repository=repository,
            main=main,
            folder=folder,
            contents=[digest_of_file(folder, path) for path in (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE)],
            notes=[("licence", describe_license(licence))],
        )
        push.check()
        yield push


def _find_license(settings: PushSettings, checkpoint: Checkpoint) -> str:
    """The licence of the training data: from the checkpoint, otherwise from the settings, otherwise that of HGGT."""
    stated = checkpoint.metadata.get("data_license")
    known = None if stated == UNKNOWN_LICENSE else stated
    if settings.license is not None and known not in (None, settings.license):
        raise PublishError(
            f"{settings.source}: the weights say that their training data is under {known}; `license` is only for "
            "weights that do not name a licence. Leave it out."
        )
    if known is not None and not is_restricted(known):
        try:
            require_license_id(known)
        except SettingsError as error:
            raise PublishError(
                f"{settings.source}: the weights say that their training data is under {error}"
            ) from error
    licence = known or settings.license or stated or HGGT_LICENSE_NAME
    if settings.public and is_restricted(licence) and not settings.i_have_permission:
        advice = "" if known else "name the licence with `license`, "
        raise PublishError(
            f"{settings.source}: the training data is under the HGGT terms or its licence is not known, so the network "
            f"cannot be made public: {terms_of(licence)} Push it privately (leave out `public`), {advice}or pass "
            "`i_have_permission` if the authors gave you permission."
        )
    return licence


def _training_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """All settings of the training; empty if they are not known."""
    try:
        settings = json.loads(checkpoint.metadata.get("config", "{}"))
    except (ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _require_network(repository: Repository, main: Branch | None) -> None:
    """Refuse a model of another project, whose configuration has the same file name."""
    if main is None or CONFIG_FILE not in main.files:
        return
    try:
        config = parse_json(repository.read_file(CONFIG_FILE, main.commit) or b"")
    except ValueError:
        config = None
    if not isinstance(config, dict) or not is_network_name(config.get("network")):
        raise PublishError(
            f"{repository.url} contains a model that hggt did not write (see its {CONFIG_FILE}). Choose another name."
        )


def format_model_card(checkpoint: Checkpoint, repo_id: str, licence: str) -> str:
    """The text of the card."""
    from huggingface_hub import ModelCardData

    known = checkpoint.metadata
    restricted = is_restricted(licence)
    license_id, license_name = card_license(licence)
    data = ModelCardData(
        license=license_id,
        license_name=license_name,
        pipeline_tag="image-to-image",
        tags=["super-resolution", "image-restoration", "hggt"],
        datasets=[known["data"]] if REPO_ID.fullmatch(known.get("data", "")) else None,
    )
    args = escape_markdown(", ".join(f"{name} {value}" for name, value in checkpoint.args.items()))
    names = ("recipe", "settings_from", "data", "data_revision", "iteration", "started_from", "note")
    stated = {name: escape_markdown(known[name]) for name in names if name in known}
    of_entry = f"`{checkpoint.source_key}` of " if checkpoint.source_key else ""
    rows = {
        "network": f"`{checkpoint.network_name}`: {args}",
        **dict.fromkeys(("recipe", "data", "data revision"), "not known"),
        **{name.replace("_", " "): text for name, text in stated.items()},
        "weights": f"{of_entry}the file with SHA-256 `{checkpoint.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    settings = _training_settings(checkpoint)
    # No line of JSON ends the block.
    training = f"## Training\n\n```json\n{json.dumps(settings, indent=2)}\n```\n\n" if settings else ""
    terms = (
        f"{terms_of(licence)} A network trained on it may be shared only under the same terms." if restricted else ""
    )
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {repo_id.partition('/')[2]}\n\nA network for real-world image "
        "super-resolution, made with hggt in the form of HGGT (CVPR 2023).\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f'```python\nfrom hggt_models import load_network\n\nnetwork = load_network("{repo_id}")\n```\n\n'
        f"```sh\nhggt-models upscale --weights {repo_id} --input DIR --output DIR\n```\n\n"
        f"{training}## Licence\n\n{terms}\n"
    )
