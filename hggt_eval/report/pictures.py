"""The pictures behind a `scores.json`, read from their recorded paths and checked by content."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from hggt_data.errors import ImageError, MatchError
from hggt_data.groups import Group, GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.files import read_regular_file, sha256_of
from hggt_data.io.images import Pixels, decode_png, parse_png
from hggt_data.loading import open_cached_groups, open_groups, open_tree_folders
from hggt_data.schema import ORIGINAL
from hggt_data.tree.picture_folders import NamesOnly, PictureFolders
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings, read_scores
from hggt_eval.scores.scores import GroupScores


class ScoredPictures:
    """Reads ground truths, LR and restored images of a scored run.

    Args:
        evaluation: The scores.
        settings: Records the paths of the pictures; relative paths start in the folder in which scoring was started.
        source: The groups, if they are already open.
    """

    def __init__(self, evaluation: Evaluation, settings: Settings, source: GroupSource | None = None) -> None:
        self.evaluation = evaluation
        self._settings = settings
        self._sizes: dict[str, tuple[int, int]] = {}
        self._scores: Mapping[tuple[str, str], GroupScores] = {
            (method.name, group.id): group for method in evaluation.methods for group in method.groups
        }
        if source is not None:
            self.source = source

    @classmethod
    def open(cls, scores: str | Path) -> "ScoredPictures":
        """The pictures behind a folder of scores, or its scores.json; raises the errors of `read_scores`."""
        file = read_scores(scores)
        return cls(file.evaluation, file.settings)

    @cached_property
    def source(self) -> GroupSource:
        """The groups."""
        if self._settings.no_gt:
            return NamesOnly({group_id for _, group_id in self._scores})
        return _open_source(self._settings)

    def group(self, group_id: str) -> Group:
        """A group of the source; MatchError if it does not exist, or its labels are not those that were scored."""
        if group_id not in self._index:
            scored = any(known == group_id for _, known in self._scores)
            similar = self.source.suggest(group_id) or f"; an example is {self.source.ids[0]}"
            advice = ", which was scored; has the data changed?" if scored else similar
            raise MatchError(f"{self.source.location} has no group {group_id}{advice}")
        group = self.source[self._index[group_id]]
        labels = dict(zip(group.candidates, group.consensus, strict=True))
        if any(scores.labels != labels for scores in self._scores_of(group_id)):
            raise MatchError(f"{self.source.location}: the labels of {group_id} have changed since it was scored")
        return group

    def _scores_of(self, group_id: str) -> list[GroupScores]:
        return [scores for (_, known), scores in self._scores.items() if known == group_id]

    def title_of(self, name: str) -> str:
        """The name to show for a picture of a group: of several ground truths, the first is one like the others."""
        return "gt1" if name == ORIGINAL and len(self.source.unjudged_ground_truths) > 1 else name

    def ground_truth(self, group: Group, name: str) -> Pixels:
        """A picture of a group; MatchError if restored images were compared with it and it has changed since."""
        data = group.read_bytes(name)
        for scores in self._scores_of(group.id):
            compared = name in scores.positives or name in scores.negatives
            if compared and scores.ground_truths_sha256.get(name) != sha256_of(data):
                raise MatchError(f"{group.name_picture(name)} has changed since it was scored against; score again")
        return self._alike(group.id, _decode(data, group.name_picture(name)))

    def _alike(self, group_id: str, pixels: Pixels) -> Pixels:
        """A picture of a group, cropped as it was for the method with the smallest images, so that all fit together."""
        if self._settings.sizes == "equal":
            return pixels
        if group_id not in self._sizes:
            group = self.source[self._index[group_id]]
            sizes = [parse_png(group.read_bytes(ORIGINAL)).size] if group.has_picture(ORIGINAL) else []
            for method in self.evaluation.methods:
                if scores := self.scores(method.name, group_id):
                    sizes.append(parse_png(self._read(method.name, scores)).size)
            self._sizes[group_id] = min(height for height, _ in sizes), min(width for _, width in sizes)
        height, width = self._sizes[group_id]
        return pixels[:height, :width]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {group_id: number for number, group_id in enumerate(self.source.ids)}

    def scores(self, method: str, group_id: str) -> GroupScores | None:
        """A method's scores in a group, if it has any."""
        return self._scores.get((method, group_id))

    def restored(self, method: str, group_id: str) -> Pixels:
        """The image that was scored, uint8 (H, W, 3); MatchError if it is missing or has changed."""
        scores = self.scores(method, group_id)
        if scores is None:
            raise MatchError(f"{method} has no score of {group_id}")
        data = self._read(method, scores)
        return self._alike(group_id, _decode(data, str(self._path(method, scores))))

    def _path(self, method: str, scores: GroupScores) -> Path:
        if method not in self._settings.restored:
            raise MatchError(f"the scores do not record the folder of {method}'s restored images")
        return Path(self._settings.restored[method]) / scores.file

    def _read(self, method: str, scores: GroupScores) -> bytes:
        path = self._path(method, scores)
        try:
            data = read_regular_file(path)
        except FileNotFoundError as error:
            raise MatchError(
                f"{path} is missing; a relative path starts in the folder in which the images were scored"
            ) from error
        if scores.sha256 != sha256_of(data):
            raise MatchError(f"{path} has changed since it was scored; score it again")
        return data


def _decode(data: bytes, name: str) -> Pixels:
    try:
        return decode_png(data)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error


def _open_source(settings: Settings) -> GroupSource:
    """The groups as the run opened them; from the Hub's cache in the same version.

    Nobody but the run's user has named the dataset, so the Hub is not asked.
    """
    if settings.gt:
        return PictureFolders([Path(folder) for folder in settings.gt])
    if settings.labels is not None:
        return open_tree_folders(Path(settings.source), Path(settings.labels))
    name, _, revision = settings.source.partition("@")
    if not Path(settings.source).is_dir() and is_hub_id(name):
        return open_cached_groups(name, revision, settings.split)
    return open_groups(settings.source, settings.split)
