"""The weights with the best value of one measure so far, in RUN/best.safetensors.

The file itself says which measure it is, its value and the iteration, so that a kill cannot separate them. A run that
resumes from an earlier iteration keeps the file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hggt_data.io.parsing import parse_json, read_value
from hggt_eval.metrics.labels import parse_measure
from hggt_models.networks import Network
from hggt_models.networks.checkpoint import load_checkpoint, save_network
from hggt_models.networks.weights import first_line
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.validation import Validated

_KEY = "best"  # in the metadata of the file


@dataclass(frozen=True, slots=True)
class Best:
    """The best validation so far.

    Attributes:
        measure: What was best.
        value: Its value.
        iteration: After how many iterations.
        counted: Number of pictures that had a value.
        pictures: Number of validated pictures.
    """

    measure: str
    value: float
    iteration: int
    counted: int
    pictures: int

    def is_better_than(self, other: "Best | None") -> bool:
        """Whether this one is better; equal values are not. A value over more pictures replaces one over fewer.

        Values of another measure, or of other pictures, are not comparable and are replaced.
        """
        if other is None or (self.measure, self.pictures) != (other.measure, other.pictures):
            return True
        if self.counted != other.counted:
            return self.counted > other.counted
        return self.value > other.value if parse_measure(self.measure).higher_is_better else self.value < other.value


class BestWeights:
    """Keeps the best weights of a run by one measure; only the leading process has one.

    Attributes:
        best: What the file holds; None without a file.
        path: Path of the file.
    """

    def __init__(self, folder: RunFolder, measure: str) -> None:
        self.best: Best | None = None
        self.path = folder.path / "best.safetensors"
        self._measure = measure

    def restore(self) -> list[str]:
        """Read what an earlier process of this run has left; returns lines for the user."""
        if not self.path.exists():
            return []
        try:
            content = load_checkpoint(self.path).metadata.get(_KEY, "")
            self.best = read_value(Best, parse_json(content.encode()))
        except (ValueError, OSError) as error:
            return [f"warning: {self.path} is damaged and will be replaced: {first_line(error)}"]
        if self._measure not in ("", self.best.measure):
            return [f"{self.path} is the best by {self.best.measure}; the next validation replaces it"]
        return []

    def forget(self) -> list[str]:
        """Delete the file of a run that was killed before its first checkpoint and so starts again."""
        self.path.unlink(missing_ok=True)
        return []

    def update(self, iteration: int, validated: Validated, network: Network, metadata: Mapping[str, str]) -> bool:
        """Write the weights, atomically, if this validation is better than all before; returns whether it is."""
        if self._measure not in validated.scores:
            return False
        measure, counted = self._measure, validated.counts[self._measure]
        new = Best(measure, validated.scores[measure], iteration, counted, validated.num_pictures)
        if not new.is_better_than(self.best):
            return False
        save_network(network, self.path, {**metadata, _KEY: json.dumps(asdict(new))})
        self.best = new
        return True
