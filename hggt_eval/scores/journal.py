"""What earlier runs have scored, so that the same command scores only what is missing or has changed.

A finished run has left its `scores.json`, an interrupted one a line per image.

A line counts only for the same pictures, by content, and the same way of scoring. A line that a kill cut short is
skipped. Several processes write a file each and read all of them.
"""

import json
import shutil
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypedDict

from hggt_data.errors import HggtError, OutputError
from hggt_data.io.files import read_regular_file, sha256_of
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.restored.methods import SCORES_FILE
from hggt_eval.scores.file import Settings, group_content, parse_group, read_scores, what_scores_depend_on
from hggt_eval.scores.picture_sets import Features
from hggt_eval.scores.scores import GroupScores


class Journal:
    """Scores of images, kept as they are computed.

    Args:
        folder: Existing folder in which the results will be written.
        settings: Everything else that scores depend on, as JSON values.
        rank: Number of this process.
        prefix: How the files' names begin.

    Attributes:
        num_found: Images that earlier runs have scored.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], rank: int = 0, prefix: str = ".unfinished") -> None:
        self._folder = folder
        self._prefix = prefix
        self._run = _fingerprint(settings)
        self._pattern = f"{prefix}-{self._run[:16]}-*.jsonl"
        self._own = folder / self._pattern.replace("*", str(rank))
        self._known = _read_finished(folder, self._run) | _read(sorted(folder.glob(self._pattern)), self._run)
        self._file: IO[str] | None = None
        self._adding = threading.Lock()
        self.num_found = len(self._known)

    @property
    def features_folder(self) -> Path:
        """Folder for features that this run would compute again; `finish` deletes it."""
        return self._folder / f"{self._prefix}-{self._run[:16]}-features"

    def find(
        self, method: str, group_id: str, sha256: str, ground_truths_sha256: Mapping[str, str]
    ) -> GroupScores | None:
        """An image's scores, if neither it nor its ground truths have changed."""
        scores = self._known.get((method, group_id))
        if scores and (scores.sha256, scores.ground_truths_sha256) == (sha256, ground_truths_sha256):
            return scores
        return None

    def add(self, method: str, scores: GroupScores) -> None:
        """Keep an image's scores; when this returns, the system has them and a kill cannot lose them."""
        line = json.dumps({"run": self._run, "method": method, "group": group_content(scores)})
        try:
            with self._adding:
                if self._file is None:
                    self._file = open(self._own, "a", encoding="utf-8")  # noqa: SIM115  closed by `finish`
                    self._file.write("\n")  # an earlier run may have been killed within a line
                self._file.write(line + "\n")
                self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._own}: cannot be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Delete this run's files, as its results are written; those of other runs stay."""
        if self._file is not None:
            self._file.close()
        for path in self._folder.glob(self._pattern):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.features_folder, ignore_errors=True)

    def keep(self) -> None:
        """Delete the files of other settings, as the folder now has the results of these, and keep this run's."""
        if self._file is not None:
            self._file.close()
        for path in set(self._folder.glob(f"{self._prefix}-*.jsonl")) - set(self._folder.glob(self._pattern)):
            path.unlink(missing_ok=True)


def _fingerprint(settings: Mapping[str, Any]) -> str:
    return sha256_of(json.dumps(settings, sort_keys=True).encode())


def _read_finished(folder: Path, run: str) -> dict[tuple[str, str], GroupScores]:
    """The scores in the folder's `scores.json`, if it can be read and they were computed in the same way."""
    try:
        file = read_scores(folder)
    except (HggtError, OSError):  # `require_nothing_lost` reports it
        return {}
    if _fingerprint(what_scores_depend_on(file.settings)) != run:
        return {}
    return {(method.name, group.id): group for method in file.evaluation.methods for group in method.groups}


def read_features(folder: Path, settings: Settings) -> Features:
    """The features beside a folder's `scores.json`, if they depend on the same settings; else none."""
    if not (folder / SCORES_FILE).exists():
        return {}
    earlier = read_scores(folder)
    parts = ("border", "device", "weights_sha256", "versions")
    own, others = (
        {name: what_scores_depend_on(known)[name] for name in parts} for known in (settings, earlier.settings)
    )
    sets = earlier.evaluation.sets
    return {} if sets is None or own != others else sets.features


class _Line(TypedDict):
    run: str
    method: str
    group: dict[str, Any]


def _read(paths: Iterable[Path], run: str) -> dict[tuple[str, str], GroupScores]:
    found: dict[tuple[str, str], GroupScores] = {}
    for path in paths:
        for line in read_regular_file(path).decode("utf-8", "replace").splitlines():
            with suppress(ValueError):
                content = read_value(_Line, parse_json(line))
                if content["run"] == run:
                    scores = parse_group(content["group"])
                    found[content["method"], scores.id] = scores
    return found
