"""The settings of a training run: typed, frozen, checked as a whole. Recipes say what differs from the defaults.

The defaults are those of the published GAN runs with the RRDB generator. The sentence below a field is its
documentation, for `hggt-models recipes NAME` and for editors. Nothing here touches data, devices or the run's folder.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter

from hggt_models.config.degradation import DegradationConfig, published_degradation
from hggt_models.config.networks import DISCRIMINATOR, network_faults
from hggt_models.config.reader import READING, ConfigError, limit_faults, read_settings
from hggt_models.config.sections import (
    CheckpointConfig,
    Compiled,
    Count,
    CountOrNone,
    LogConfig,
    LossConfig,
    NetworkConfig,
    PerceptualConfig,
    PositiveRule,
    Share,
    TargetKind,
    ValidationConfig,
    Weight,
    read_network,
    target_contradictions,
)
from hggt_models.losses.distance import LPIPS_SMALLEST_PX
from hggt_models.losses.perceptual import OFFICIAL_LAYERS
from hggt_models.networks.vgg import smallest_px

DEFAULTS = {
    "generator": {"name": "rrdb_pixelshuffle"},
    "discriminator": {"name": DISCRIMINATOR},
    "degradation": {"published": "sr"},
    "perceptual": {"layers": OFFICIAL_LAYERS},
}
# They change how a run's numbers are rounded, not what it learns from; a resumed run may have other values.
ROUNDING_KEYS = ("accumulate", "precision", "cudnn_benchmark", "deterministic")
# So may these, which change how a run is executed and watched, not what it computes.
FREE_KEYS = ("starts_from", "iterations", "checkpoint", "log", "validation.every", "validation.images",
             "validation.metrics", "validation.shown", "validation.tile", "compile", "channels_last",
             *ROUNDING_KEYS)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything that defines a training run except its data; `load_config` makes it from a recipe.

    Raises:
        ConfigError: Values are out of range or contradict each other; the message names all faults.

    Example:
        >>> from dataclasses import replace
        >>> from hggt_models import load_config
        >>> replace(load_config("rrdb-psnr"), batch_size=24, pool_size=0).batch_size
        24
    """

    __pydantic_config__: ClassVar[ConfigDict] = READING

    starts_from: str = ""
    """Recipe whose network the published run starts from; only named in a message if a run starts without weights."""
    target: TargetKind = "positive"
    """Image that the losses compare the output with, see docs/training.md."""
    positives: PositiveRule = "uniform"
    """Which positive of a group that image is, see docs/training.md: one at random, as published."""
    source_px: Count = 512
    """Side of the square that is cut from a picture and degraded."""
    crop_px: Count = 256
    """Side of the target, which is cut with its LR from the degraded square."""
    flip: bool = True
    """Mirror half of the samples left to right."""
    rotate: bool = False
    """Mirror half of the samples top to bottom and transpose half of them."""
    sharpen: bool = False
    """Sharpen the LR's source and the target of the pixel and perceptual losses, as LDL does."""
    draws: Literal["official", "per_sample"] = "official"
    """Draw the degradation's choices partly once per batch, as published, or all of them per sample."""
    batch_size: Annotated[int, Field(gt=0, le=65_536)] = 12
    """Samples per iteration, over all devices."""
    pool_size: CountOrNone = 144
    """Training pairs in the pool that mixes batches, over all devices; 0 for no pool."""
    accumulate: Count = 1
    """Parts in which a device computes its share of a batch, to save memory."""
    iterations: Count = 300_000
    """Number of iterations."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Optimizer of generator and discriminator; `adamw` decays weights directly, not through their gradients."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Highest learning rate, for generator and discriminator."""
    betas: tuple[Share, Share] = (0.9, 0.99)
    """Coefficients of the optimizer's running averages."""
    weight_decay: Weight = 0.0
    """Weight decay of the optimizer."""
    schedule: Literal["steps", "cosine"] = "steps"
    """How the learning rate falls: by `decay` at each milestone, or along half a cosine to 0 at the end of the run."""
    warmup: CountOrNone = 0
    """Iterations over which the learning rate rises linearly at the start."""
    milestones: tuple[Count, ...] = (200_000,)
    """Iterations after which the learning rate is multiplied by `decay`; without effect on a cosine."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Factor applied to the learning rate at each milestone."""
    clip_norm: Weight = 0.0
    """Maximum norm of a network's gradients, which are scaled down to it; 0 for no limit."""
    ema_decay: Share = 0.999
    """Decay of the moving average of the generator's weights, which is the trained network; 0 for no average."""
    discriminator_batches: Literal["separate", "joint"] = "separate"
    """Show real and restored images to the discriminator in separate batches, as published, or in one."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Number format of the networks' computation, see docs/training.md; averages and optimizers always use float32."""
    cudnn_benchmark: bool = False
    """Let cuDNN time its convolution algorithms and keep the fastest; without effect on a CPU."""
    deterministic: bool = False
    """Use only deterministic algorithms, so that equal runs on equal GPUs give equal results; slower."""
    channels_last: Literal["auto", "yes", "no"] = "auto"
    """Memory format of the networks; `auto` uses what is faster for each, see docs/benchmarks.md."""
    compile: tuple[Compiled, ...] = ()
    """Networks to compile with `torch.compile`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Random seed."""
    generator: Annotated[NetworkConfig, PlainValidator(read_network)]
    """Network to train."""
    discriminator: Annotated[NetworkConfig, PlainValidator(read_network)]
    """Discriminator of the adversarial loss."""
    degradation: DegradationConfig
    """How LR images are made."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Weights of the generator's losses."""
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    """Network of the perceptual loss."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """Validation on pictures that the network never learns from."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """How often the state of the run is saved."""
    log: LogConfig = field(default_factory=LogConfig)
    """What the run reports."""

    def __post_init__(self) -> None:
        if faults := [*limit_faults(self, type(self)), *self._contradictions()]:
            raise ConfigError(*faults)

    @property
    def scale(self) -> int:
        """Side of the output over side of the LR."""
        return self.degradation.scale

    @property
    def has_discriminator(self) -> bool:
        """Whether there is an adversarial loss."""
        return self.loss.adversarial > 0

    @property
    def needs_start(self) -> bool:
        """Whether a loss compares with the network that the run started from, which is never trained."""
        return self.loss.negative > 0 and self.loss.negative_form == "dpo"

    @property
    def uses_vgg(self) -> bool:
        """Whether a loss compares features of VGG19."""
        return self.loss.perceptual > 0 or self.measures_preference("vgg")

    def measures_preference(self, distance: str) -> bool:
        """Whether the form `dpo` of the negative loss uses this distance."""
        return self.needs_start and self.loss.negative_distance == distance

    @property
    def free_keys(self) -> tuple[str, ...]:
        """Settings, or sections of them, that may have other values when the run resumes."""
        is_fixed = self.schedule == "cosine"  # its length determines every rate
        return tuple(key for key in FREE_KEYS if key != "iterations" or not is_fixed)

    def to_json(self) -> dict[str, Any]:
        """All settings, ready for JSON; `make_config` turns them into this config again."""
        content = asdict(self)
        for name in ("generator", "discriminator"):
            network = content[name]
            content[name] = {"name": network["name"], **network["args"]}
        return content

    def _contradictions(self) -> Iterator[str]:
        yield from self._size_contradictions()
        yield from self._network_contradictions()
        yield from self._loss_contradictions()
        for section in (self.loss, self.perceptual, self.validation):
            yield from section.contradictions()
        if self.deterministic and self.cudnn_benchmark:
            yield "deterministic and cudnn_benchmark are both true; expected one, because times vary"
        yield from self._validation_contradictions()
        if self.warmup >= self.iterations:
            yield f"warmup is {self.warmup}, but iterations is {self.iterations}; expected fewer iterations of warm-up"
        if list(self.milestones) != sorted(set(self.milestones)):
            yield f"milestones are {list(self.milestones)}; expected increasing numbers"
        if self.pool_size and self.pool_size < self.batch_size:
            yield f"pool_size {self.pool_size} is less than batch_size {self.batch_size}; expected 0, or at least that"

    def _size_contradictions(self) -> Iterator[str]:
        if self.crop_px > self.source_px:
            yield f"crop_px {self.crop_px} is more than source_px {self.source_px}, which it is cut from"
        for key, side in (("source_px", self.source_px), ("crop_px", self.crop_px)):
            if side % self.scale:
                yield f"{key} {side} is not a multiple of degradation.scale {self.scale}"
        if self.has_discriminator and self.discriminator.name == DISCRIMINATOR and self.crop_px % 8:
            yield f"crop_px {self.crop_px} is not a multiple of 8, as the discriminator requires"
        if self.measures_preference("lpips") and self.crop_px < LPIPS_SMALLEST_PX:
            yield f"crop_px {self.crop_px} is too small for LPIPS; expected {LPIPS_SMALLEST_PX} or more"
        if self.uses_vgg and (blind := self.perceptual.blind_layers(self.crop_px)):
            least_px = max(map(smallest_px, blind))
            yield (
                f"crop_px {self.crop_px} is too small for {', '.join(blind)} of perceptual.layers; expected {least_px} "
                "or more, or a weight of 0"
            )

    def _validation_contradictions(self) -> Iterator[str]:
        validation, best = self.validation, self.checkpoint.best
        if validation.has_label_measures and self.target == "picture":
            yield "validation.metrics has label measures, but target is 'picture', whose pictures have no labels"
        if best and best not in validation.metrics:
            yield (
                f"checkpoint.best is {best!r}, which validation does not compute; expected one of validation.metrics: "
                f"{', '.join(validation.metrics)}"
            )
        elif best and not (validation.every and validation.pictures):
            yield f"checkpoint.best is {best!r}, but validation.every or validation.pictures is 0; expected validation"

    def _network_contradictions(self) -> Iterator[str]:
        return network_faults(self.generator, self.discriminator, self.scale, self.crop_px, self.validation.tile)

    def _loss_contradictions(self) -> Iterator[str]:
        loss = self.loss
        yield from target_contradictions(self.target, self.positives, loss.negative, self.sharpen)
        if loss.artifact_map and not self.ema_decay:
            yield "loss.artifact_map needs the moving average, but ema_decay is 0; expected more than 0"
        if self.uses_vgg and not any(self.perceptual.layers.values()):
            user = f"loss.perceptual is {loss.perceptual:g}" if loss.perceptual else "loss.negative_distance is 'vgg'"
            yield f"{user}, but all perceptual.layers have weight 0"


READER = TypeAdapter(TrainConfig)


def flat_settings(config: TrainConfig) -> dict[str, str]:
    """Every setting in the form of an assignment: dotted key, value as in TOML."""
    return {key: _format_value(value) for key, value, _ in compared_settings(config.to_json(), {})}


def make_config(settings: Mapping[str, Any]) -> TrainConfig:
    """A config from nested settings; those that are missing have their defaults.

    Raises:
        ConfigError: settings are unknown, of the wrong kind, out of range, or contradict each other.
    """
    settings = merged(DEFAULTS, settings)
    faults: list[str] = []
    kept: dict[str, Any] = {}
    if isinstance(settings["degradation"], Mapping):
        changes = dict(settings["degradation"])
        try:
            published = published_degradation(changes)
        except ConfigError as error:
            faults += error.faults
            published = published_degradation({})
        settings["degradation"] = merged(asdict(published), changes)
        kept = {one.name: getattr(published, one.name) for one in fields(published) if one.name not in changes}
    try:
        config = read_settings(READER, settings, _all_keys())
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(*faults)
    # Published numbers keep their form, 13 and not 13.0, in which runs have recorded them.
    return replace(config, degradation=replace(config.degradation, **kept))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings overlaid with others; a section that names another network or degradation replaces the old section."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            replaces = any(name in value and value[name] != old.get(name) for name in ("name", "published"))
            result[key] = dict(value) if replaces else merged(old, value)
        else:
            result[key] = value
    return result


def as_json(value: Any) -> Any:
    """A value as JSON gives it back: lists for tuples."""
    if isinstance(value, Mapping):
        return {key: as_json(inner) for key, inner in value.items()}
    return [as_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def compared_settings(
    found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Settings that differ between two nested settings: dotted key and both values, None where one has none."""
    for key in {**found, **wanted}:
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            yield from compared_settings(old or {}, new or {}, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", old, new


def _format_value(value: Any) -> str:
    # TOML writes these kinds of values as JSON does, but has no pairs of surrogates, and no bare DEL.
    return json.dumps(as_json(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _all_keys(owner: type[Any] = TrainConfig, prefix: str = "") -> list[str]:
    """Every key except the arguments of networks."""
    keys = []
    for name, hint in get_type_hints(owner).items():
        if name.startswith("__"):
            continue
        keys.append(f"{prefix}{name}")
        for section in (hint, *get_args(hint)):  # of a union, all its classes
            if is_dataclass(section) and section is not NetworkConfig:
                keys += _all_keys(section, f"{prefix}{name}.")  # type: ignore[arg-type]
    return list(dict.fromkeys(keys))
