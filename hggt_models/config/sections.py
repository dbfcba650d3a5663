"""The sections of a training run's settings: networks, losses, validation, checkpoints and log, each checked by itself.

The sentence below a field is its documentation, for `hggt-models recipes NAME` and for editors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hggt_data.errors import HggtError
from hggt_data.io.text import nearest
from hggt_eval.metrics.labels import parse_measure
from hggt_models.config.reader import ConfigError
from hggt_models.losses.adversarial import AdversarialForm
from hggt_models.losses.perceptual import OFFICIAL_LAYERS
from hggt_models.networks import NETWORKS, checked_args, is_network_name
from hggt_models.networks.external_classes import EXTERNAL_FORMS
from hggt_models.networks.vgg import LAYERS, smallest_px

Compiled = Literal["generator", "discriminator", "perceptual"]
TargetKind = Literal["picture", "original", "positive", "positive_negative", "preference"]
PositiveRule = Literal["uniform", "agreement", "best", "nearest", "all"]
Count = Annotated[int, Field(gt=0)]
CountOrNone = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
WindowPx = Annotated[int, Field(ge=3)]
BOUNDED_FORMS = ("triplet", "dpo")  # of the negative loss
WHOLE_GROUP = ("nearest", "all")  # rules that need all positives of a group
PAIR_TARGETS = ("positive_negative", "preference")  # targets that also move away from a picture


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """A network: its name and all its arguments, see `build_network`. In settings both are in one table.

    Reading one of another project imports its class.
    """

    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weights of the generator's losses, and parameters of two of them."""

    pixel: Weight = 1.0
    """Weight of the L1 distance to the target."""
    perceptual: Weight = 1.0
    """Weight of the perceptual loss (VGG19 features)."""
    adversarial: Weight = 0.1
    """Weight of the adversarial loss; 0 trains without a discriminator."""
    adversarial_form: AdversarialForm = "vanilla"
    """Form of the adversarial loss: cross-entropy, least squares, hinge or relativistic average (ESRGAN)."""
    negative: Weight = 0.0
    """Weight of the negative loss, in the form of `negative_form`."""
    negative_form: Literal["published", "margin", "triplet", "dpo"] = "published"
    """Form of the negative loss, see docs/training.md: only the published one has no bound."""
    negative_window_px: WindowPx = 3
    """Side of the window in which the negative loss measures local variance."""
    negative_power: Annotated[float, Field(gt=0)] = 0.75
    """Exponent of that variance in the artefact map of the negative loss."""
    negative_margin: Weight = 0.0
    """Distance beyond which the form `margin` does not push a sample further from its negative."""
    triplet_margin: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Margin of the form `triplet`, as a share of the distance between positive and negative."""
    negative_distance: Literal["pixel", "vgg", "lpips"] = "pixel"
    """Distance of the form `dpo`: of pixels, of VGG19 features, or the square root of LPIPS."""
    dpo_beta: Annotated[float, Field(gt=0)] = 1.0
    """Factor of the form `dpo`: how soon it is content with a preference; the preference is between -2 and 2."""
    artifact_map: Weight = 0.0
    """Weight of the L1 loss on LDL's artefact map."""
    artifact_window_px: WindowPx = 7
    """Side of the window in which LDL's artefact map measures local variance."""

    def contradictions(self) -> Iterator[str]:
        """What does not fit together in these settings, one sentence each."""
        for key in ("negative_window_px", "artifact_window_px"):
            if getattr(self, key) % 2 == 0:
                yield f"loss.{key} is {getattr(self, key)}; expected an odd number"
        if self.negative_form == "margin" and not self.negative_margin:
            yield "loss.negative_form is 'margin', but loss.negative_margin is 0; expected more than 0"
        if self.negative_form in BOUNDED_FORMS and self.negative_margin:
            yield (
                f"loss.negative_margin is {self.negative_margin:g}, but loss.negative_form {self.negative_form!r} "
                "has a bound of its own; expected 0"
            )
        if self.negative_form == "dpo" and not (self.pixel or self.perceptual):
            yield (
                "loss.negative_form 'dpo' lets the output move away from the chosen picture, too; expected a weight of "
                "loss.pixel or loss.perceptual, which pull it there"
            )
        if not any((self.pixel, self.perceptual, self.adversarial, self.artifact_map)):
            yield "all losses have weight 0; expected one that the network can learn from"
        elif self.adversarial_form == "hinge" and not any((self.pixel, self.perceptual, self.artifact_map)):
            yield (
                "loss.adversarial_form is 'hinge', which may be negative and so does not show whether a run diverges; "
                "expected a weight for loss.pixel, loss.perceptual or loss.artifact_map as well"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptualConfig:
    """The network behind the perceptual loss."""

    weights: str = "imagenet"
    """Weights of VGG19: `imagenet`, a file, or `random` to try out the software."""
    layers: Mapping[str, Weight] = field(default_factory=lambda: dict(OFFICIAL_LAYERS))
    """Weight of each VGG19 layer, taken before its ReLU; 0 leaves the layer out."""

    @property
    def source(self) -> Path | Literal["imagenet", "random"]:
        """The weights in the form that `PerceptualLoss` takes."""
        return self.weights if self.weights in ("imagenet", "random") else Path(self.weights)  # type: ignore[return-value]

    def contradictions(self) -> Iterator[str]:
        """See `LossConfig.contradictions`."""
        unknown = [layer for layer in self.layers if layer not in LAYERS]
        if unknown:
            yield f"perceptual.layers has {', '.join(unknown)}; known layers are {', '.join(LAYERS)}"

    def blind_layers(self, crop_px: int) -> list[str]:
        """Layers with a weight whose output is empty for an image with this side."""
        used = [name for name, weight in self.layers.items() if weight and name in LAYERS]
        return [name for name in used if smallest_px(name) > crop_px]


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """Validation during training, on source pictures that the network never learns from."""

    every: CountOrNone = 5000
    """Iterations between validations; 0 turns validation off, but pictures are still held out."""
    pictures: CountOrNone = 8
    """Number of source pictures to hold out, at most a tenth of all (one if there are few); 0 trains on all."""
    images: Count = 64
    """Maximum number of held-out patches or pictures to validate on."""
    metrics: tuple[str, ...] = ("psnr", "ssim")
    """Metrics of hggt-eval to compute, or their label measures such as `lpips.positive_margin`."""
    shown: CountOrNone = 4
    """Number of results saved as pictures; TensorBoard shows a crop of each, always the same."""
    tile: CountOrNone = 0
    """Side of the LR tiles in which pictures are restored, halved if memory runs out; 0 starts with whole pictures."""

    @property
    def has_label_measures(self) -> bool:
        """Whether it needs the labels of held-out groups."""
        return any("." in name for name in self.metrics)

    def contradictions(self) -> Iterator[str]:
        """See `LossConfig.contradictions`."""
        for name in self.metrics:
            try:
                parse_measure(name)
            except HggtError as error:
                yield f"validation.metrics: {error}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """Checkpoints, from which an interrupted run resumes, and weights."""

    every: Count = 5000
    """Iterations between checkpoints; each also writes a file of weights, and all of those are kept."""
    keep: Count = 3
    """Number of checkpoints to keep."""
    best: str = ""
    """Measure of `validation.metrics` by which the best weights are kept in `best.safetensors`; empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """What a run reports while it trains."""

    every: Count = 100
    """Iterations between log lines; losses are averaged over them."""
    tensorboard: bool = True
    """Write TensorBoard event files."""
    wandb: str = ""
    """Weights & Biases project to log to; empty for none."""


def target_contradictions(target: TargetKind, positives: PositiveRule, negative: float, sharpen: bool) -> Iterator[str]:
    """What does not fit the target, one sentence each; `negative` is the weight of the negative loss."""
    if (negative > 0) != (target in PAIR_TARGETS):
        yield (
            f"loss.negative is {negative:g} and target is {target!r}; expected a weight with the targets "
            "'positive_negative' and 'preference', and 0 with any other"
        )
    if positives != "uniform" and target not in ("positive", "positive_negative"):
        yield (
            f"positives is {positives!r}, but the target {target!r} does not choose among positives; expected 'uniform'"
        )
    if positives in WHOLE_GROUP and sharpen:
        yield f"positives {positives!r} cannot be combined with sharpen; expected one of them"


def read_network(value: Any) -> NetworkConfig:
    """A network's table with `name` and arguments."""
    if not isinstance(value, Mapping):
        raise ValueError("expected a table: a network's `name` and its arguments")
    settings = dict(value)
    name = settings.pop("name", None)
    if not is_network_name(name):
        raise ConfigError(f"name is {name!r}; {nearest(str(name), (*NETWORKS, *EXTERNAL_FORMS))}")
    return NetworkConfig(name=name, args=checked_args(name, settings))
