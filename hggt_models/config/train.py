"""What a training run is: typed, frozen, checked as a whole. Recipes say what differs from the defaults.

The defaults are those of the published GAN runs with the RRDB generator. A key is written as in `--set
loss.negative=0`; one that is not known is an error with the nearest that is. Nothing here touches data, devices or the
run's folder.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import torch

from hggt_data.io.text import nearest
from hggt_eval.metrics import METRICS
from hggt_models.config.reader import ConfigError, SettingsReader, require_kind
from hggt_models.degradation.settings import PUBLISHED, DegradationError, DegradationSettings
from hggt_models.losses.perceptual import OFFICIAL_LAYERS
from hggt_models.networks import NETWORKS, NetworkError, build_network, network_args
from hggt_models.networks.vgg import LAYERS, smallest_px

Compiled = Literal["generator", "discriminator", "perceptual"]

_CHANNELS = ("num_in_ch", "num_out_ch", "in_chans", "colors")  # arguments of networks
DEFAULTS = {
    "generator": {"name": "rrdb_pixelshuffle"},
    "discriminator": {"name": "unet_discriminator_sn"},
    "degradation": {"published": "sr"},
    "perceptual": {"layers": OFFICIAL_LAYERS},
}
# Change how a run is carried out and watched, not what it computes; so a run may go on with others.
FREE_KEYS = ("starts_from", "iterations", "checkpoint", "log", "validation.every", "validation.images",
             "validation.metrics", "validation.shown", "compile", "channels_last")  # fmt: skip

TargetKind = Literal["picture", "original", "positive", "positive_negative"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """A network: its name and all its arguments, see `build_network`."""

    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weights of the generator's losses, and the shape of two of them.

    Attributes:
        pixel, perceptual, adversarial: weights; 0 switches a loss off. Without an adversarial loss there is no
            discriminator.
        negative: weight of the distance to the negative, which is subtracted.
        negative_window_px, negative_power: of the variation map that picks where the distance counts.
        negative_margin: distance beyond which a sample is pushed no farther; 0 pushes for ever, as published.
        artifact_map: weight of the pixel loss on LDL's artifact map.
        artifact_window_px: of that map.
    """

    pixel: float = 1.0
    perceptual: float = 1.0
    adversarial: float = 0.1
    negative: float = 0.0
    negative_window_px: int = 3
    negative_power: float = 0.75
    negative_margin: float = 0.0
    artifact_map: float = 0.0
    artifact_window_px: int = 7

    def contradictions(self) -> Iterator[str]:
        """What does not fit together in these settings, a sentence each."""
        if not any((self.pixel, self.perceptual, self.adversarial, self.artifact_map)):
            yield "every loss has the weight 0; expected one to learn from"


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptualConfig:
    """The network behind the perceptual loss.

    Attributes:
        weights: `imagenet`, a file with them, or `random` for a trial of everything else.
        layers: weights of VGG19's layers, before their ReLU; 0 leaves one out.
    """

    weights: str = "imagenet"
    layers: Mapping[str, float] = field(default_factory=lambda: dict(OFFICIAL_LAYERS))

    @property
    def source(self) -> Path | Literal["imagenet", "random"]:
        """The weights as `PerceptualLoss` takes them."""
        return self.weights if self.weights in ("imagenet", "random") else Path(self.weights)  # type: ignore[return-value]

    def contradictions(self) -> Iterator[str]:
        """As those of `LossConfig`."""
        strange = [layer for layer in self.layers if layer not in LAYERS]
        if strange:
            yield f"perceptual.layers has {', '.join(strange)}; known ones are {', '.join(LAYERS)}"
        for layer, weight in self.layers.items():
            if weight < 0:
                yield f"perceptual.layers.{layer} is {weight:g}; expected 0 or more"

    def blind_layers(self, crop_px: int) -> list[str]:
        """Those that count, and that nothing reaches of a picture with this side."""
        used = [name for name, weight in self.layers.items() if weight and name in LAYERS]
        return [name for name in used if smallest_px(name) > crop_px]


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """Looking at the network while it learns, on source pictures that it never learns from.

    Attributes:
        every: iterations from one validation to the next; 0 for none (what is held out stays so).
        pictures: source pictures held out, a tenth of all at most, or one of a few; 0 validates nothing.
        images: of them, at most so many patches are validated.
        metrics: names of `hggt-eval`'s metrics.
        shown: so many results are kept as files and shown in TensorBoard.
    """

    every: int = 5000
    pictures: int = 8
    images: int = 64
    metrics: tuple[str, ...] = ("psnr", "ssim")
    shown: int = 4

    def contradictions(self) -> Iterator[str]:
        """As those of `LossConfig`."""
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown:
            yield f"validation.metrics has {', '.join(unknown)}; {nearest(unknown[0], METRICS)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """Saving.

    Attributes:
        every: iterations from one checkpoint to the next.
        keep: how many of the last are kept to go on from; the weights of all are.
    """

    every: int = 5000
    keep: int = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """Telling.

    Attributes:
        every: iterations from one line to the next; losses are means over them.
        tensorboard: whether to write event files.
        wandb: name of a Weights & Biases project to log to; empty for none.
    """

    every: int = 100
    tensorboard: bool = True
    wandb: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """All that decides a training run but its data.

    Attributes:
        starts_from: the recipe whose network the published run starts from, for `--init`; a word to the user only.
        target: what the losses compare the output with, see `hggt_models.data.targets`.
        source_px: side of the square that is cut from a picture and degraded.
        crop_px: side of the target; it is cut, with its LR, from the degraded square.
        flip: mirror half of the samples left to right.
        rotate: mirror half of them top to bottom as well, and turn half by 90 degrees.
        sharpen: sharpen the LR's source and the target of the pixel and perceptual losses (LDL).
        draws: what of the degradation is drawn once a batch, see `hggt_models.degradation.chain.degrade`.
        batch_size: samples of one iteration, all devices together.
        pool_size: training pairs that wait and mix, all devices together; 0 for no pool.
        accumulate: parts that a device's share of a batch is computed in, to save memory.
        iterations: steps of the optimizers.
        learning_rate, betas: of Adam, for both networks.
        milestones, decay: the rate is multiplied by `decay` after so many iterations.
        clip_norm: gradients of a network longer than this are shortened to it; 0 leaves them alone.
        ema_decay: of the moving average of the generator's weights, which is what is saved; 0 for none.
        discriminator_batches: `separate` looks at real and restored images one after the other, as published; `joint`
            at both in one batch.
        precision: fp32, or bf16 for autocast; losses, averages and optimizers are float32 in both.
        channels_last: memory format of the networks; `auto` is each network's own, see docs/benchmarks.md.
        compile: which networks go through `torch.compile`.
        seed: of everything random.
    """

    starts_from: str = ""
    target: TargetKind = "positive"
    source_px: int = 512
    crop_px: int = 256
    flip: bool = True
    rotate: bool = False
    sharpen: bool = False
    draws: Literal["official", "per_sample"] = "official"
    batch_size: int = 12
    pool_size: int = 144
    accumulate: int = 1
    iterations: int = 300_000
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    milestones: tuple[int, ...] = (200_000,)
    decay: float = 0.5
    clip_norm: float = 0.0
    ema_decay: float = 0.999
    discriminator_batches: Literal["separate", "joint"] = "separate"
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: Literal["auto", "yes", "no"] = "auto"
    compile: tuple[Compiled, ...] = ()
    seed: int = 0
    generator: NetworkConfig
    discriminator: NetworkConfig
    degradation: DegradationSettings
    loss: LossConfig = field(default_factory=LossConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        faults = [*self._range_faults(), *self._contradictions()]
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def scale(self) -> int:
        """How many times larger the output is than the LR."""
        return self.degradation.scale

    @property
    def has_discriminator(self) -> bool:
        """Whether there is an adversarial loss."""
        return self.loss.adversarial > 0

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        return self.learning_rate * self.decay ** sum(iteration >= milestone for milestone in self.milestones)

    def to_json(self) -> dict[str, Any]:
        """All settings, ready for JSON; what `make_config` takes, so that it gives this config again."""
        content = asdict(self)
        for name in ("generator", "discriminator"):
            network = content[name]
            content[name] = {"name": network["name"], **network["args"]}
        return content

    def _range_faults(self) -> Iterator[str]:
        positive = (
            "source_px", "crop_px", "batch_size", "accumulate", "iterations", "learning_rate", "loss.negative_power",
            "validation.images", "checkpoint.every", "checkpoint.keep", "log.every",
        )  # fmt: skip
        not_negative = (
            "pool_size", "clip_norm", "seed", "loss.pixel", "loss.perceptual", "loss.adversarial", "loss.negative",
            "loss.negative_margin", "loss.artifact_map", "validation.every", "validation.pictures", "validation.shown",
        )  # fmt: skip
        for keys, is_fine, expected in (
            (positive, lambda value: value > 0, "more than 0"),
            (not_negative, lambda value: value >= 0, "0 or more"),
            (("seed",), lambda value: value < 2**63, "less than 2^63"),
            (("decay",), lambda value: 0 < value <= 1, "more than 0, 1 at most"),
            (("ema_decay",), lambda value: 0 <= value < 1, "0 or more, less than 1"),
            (("betas",), lambda value: all(0 <= beta < 1 for beta in value), "two values from 0 up to 1"),
            (
                ("loss.negative_window_px", "loss.artifact_window_px"),
                lambda value: value >= 3 and value % 2 == 1,
                "an odd number, 3 or more",
            ),
        ):
            for key in keys:
                value = _lookup(self, key)
                if not is_fine(value):
                    yield f"{key} is {value}; expected {expected}"

    def _contradictions(self) -> Iterator[str]:
        yield from self._size_contradictions()
        yield from self._network_contradictions()
        yield from self._loss_contradictions()
        for section in (self.loss, self.perceptual, self.validation):
            yield from section.contradictions()
        if list(self.milestones) != sorted(set(self.milestones)):
            yield f"milestones are {list(self.milestones)}; expected rising numbers"
        elif self.milestones and self.milestones[0] < 1:
            yield f"milestones are {list(self.milestones)}; expected numbers of 1 or more"
        if self.pool_size and self.pool_size < self.batch_size:
            yield f"pool_size {self.pool_size} is less than batch_size {self.batch_size}; expected 0, or more"

    def _size_contradictions(self) -> Iterator[str]:
        if self.crop_px > self.source_px:
            yield f"crop_px {self.crop_px} is more than source_px {self.source_px}, which it is cut from"
        for key in ("source_px", "crop_px"):
            if _lookup(self, key) % self.scale:
                yield f"{key} {_lookup(self, key)} is no multiple of degradation.scale {self.scale}"
        if self.has_discriminator and self.crop_px % 8:
            yield f"crop_px {self.crop_px} is no multiple of 8, which the discriminator needs"
        if self.loss.perceptual and (blind := self.perceptual.blind_layers(self.crop_px)):
            least_px = max(map(smallest_px, blind))
            yield (
                f"crop_px {self.crop_px} is too small for {', '.join(blind)} of perceptual.layers; expected {least_px} "
                "or more, or a weight of 0"
            )

    def _network_contradictions(self) -> Iterator[str]:
        for key in ("generator", "discriminator"):
            for name, value in getattr(self, key).args.items():
                if name in _CHANNELS and value != 3:
                    yield f"{key}.{name} is {value}; expected 3, as pictures are RGB"
        with torch.device("meta"):  # only asked how much it enlarges
            enlarges = build_network(self.generator.name, **self.generator.args).scale
        if enlarges != self.scale:
            yield f"the generator enlarges {enlarges} times, and degradation.scale is {self.scale}; expected the same"

    def _loss_contradictions(self) -> Iterator[str]:
        loss = self.loss
        if (loss.negative > 0) != (self.target == "positive_negative"):
            yield (
                f"loss.negative is {loss.negative:g} and target is {self.target!r}; expected a weight with the target "
                "'positive_negative', and only with it"
            )
        if loss.artifact_map and not self.ema_decay:
            yield "loss.artifact_map compares with the moving average, and ema_decay is 0; expected more"
        if loss.perceptual and not any(self.perceptual.layers.values()):
            yield f"loss.perceptual is {loss.perceptual:g}, and every one of perceptual.layers has the weight 0"


def flat_settings(config: TrainConfig) -> dict[str, str]:
    """Every setting as `--set` takes it: dotted key, value as in TOML."""
    return {key: _format_value(value) for key, value, _ in _compared(config.to_json(), {}, "")}


def make_config(settings: Mapping[str, Any]) -> TrainConfig:
    """A config from nested settings; what they leave out has its default.

    Raises:
        ConfigError: a key is not known, a value is of another kind, or values do not fit each other.
    """
    settings = merged(DEFAULTS, settings)
    values = dict(_READER.values(TrainConfig, settings))
    if values["discriminator"].name != "unet_discriminator_sn":
        raise ConfigError(f"discriminator is {values['discriminator'].name}; expected unet_discriminator_sn")
    if values["generator"].name == "unet_discriminator_sn":
        raise ConfigError("generator is unet_discriminator_sn, which restores nothing")
    return TrainConfig(**values)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them; a section that names another network, or other settings, starts afresh."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            afresh = any(name in value and value[name] != old.get(name) for name in ("name", "published"))
            result[key] = dict(value) if afresh else merged(old, value)
        else:
            result[key] = value
    return result


def differences(found: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """What makes another run of it than `found`, which `to_json` gave: `KEY is NEW, was OLD`, a text for each."""
    return [
        f"{key} is {new!r}, was {old!r}"
        for key, old, new in _compared(found, _as_json(config.to_json()), "")
        if not any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)
    ]


def _as_json(value: Any) -> Any:
    """As it comes back from a file: lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def _compared(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    for key in {**found, **wanted}:
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            yield from _compared(old or {}, new or {}, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", old, new


def _format_value(value: Any) -> str:
    # TOML writes these kinds of values as JSON does, but has no pairs of surrogates, and no bare DEL.
    return json.dumps(_as_json(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _network(value: Any, key: str) -> NetworkConfig:
    expected = f"a table with a network's name and arguments; {key}.name chooses another"
    settings = dict(require_kind(value, Mapping, expected, key))
    name = settings.pop("name", None)
    if name is None:
        raise ConfigError(f"config key '{key}.name' is missing; known networks are {', '.join(NETWORKS)}")
    require_kind(name, str, "a text", f"{key}.name")
    try:
        return NetworkConfig(name=name, args=asdict(network_args(name, settings)))
    except NetworkError as error:
        raise ConfigError(f"{key}: {error}") from error


def _degradation(value: Any, key: str) -> DegradationSettings:
    settings = dict(require_kind(value, Mapping, f"a table of settings; {key}.published chooses others", key))
    name = require_kind(settings.pop("published", "sr"), str, "a text", f"{key}.published")
    if name not in PUBLISHED:
        raise ConfigError(f"config key '{key}.published' is {name!r}; expected one of {', '.join(PUBLISHED)}")
    published = PUBLISHED[name]
    changed = dict(_READER.values(DegradationSettings, settings, f"{key}."))
    if "kernel_kinds" in changed:
        changed["kernel_kinds"] = {**published.kernel_kinds, **changed["kernel_kinds"]}
    try:
        return DegradationSettings(**{**{f.name: getattr(published, f.name) for f in fields(published)}, **changed})
    except DegradationError as error:
        raise ConfigError(f"{key}: {error}") from error


def _lookup(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return config


def _all_keys(section: type[Any] = TrainConfig, prefix: str = "") -> list[str]:
    """Every key there is, but the arguments of networks."""
    keys = []
    for name, hint in get_type_hints(section).items():
        keys.append(f"{prefix}{name}")
        if is_dataclass(hint) and isinstance(hint, type) and hint is not NetworkConfig:
            keys += _all_keys(hint, f"{prefix}{name}.")
    return keys


_READER = SettingsReader({NetworkConfig: _network, DegradationSettings: _degradation}, _all_keys)
