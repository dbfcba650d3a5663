"""A plain training step towards a positive and away from a negative, which `bench_train.py` compares with.

It follows what is known of the official training: five float32 pictures of each sample go to the device and through a
pool that is shuffled whole in each step; samples are looked at one by one, in Python, for the noise, the JPEG quality
and the negative map; each loss is fetched from the device; float32 throughout. The networks are ours.
"""

import copy
import math
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from plain_groups import CANDIDATES, NEGATIVE, POSITIVE, PlainGroups, draw
from stopwatch import Stopwatch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, RandomSampler

from hggt_models.config.train import TrainConfig
from hggt_models.degradation import jpeg
from hggt_models.degradation.chain import draw_kernels
from hggt_models.degradation.kernels import filter_images
from hggt_models.degradation.noise import add_gaussian_noise
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.settings import DegradationSettings
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.networks import build_network

_ENDLESS = 10**9
Batch = dict[str, Tensor]


class PlainTraining:
    """Networks, data and optimizers.

    Args:
        config: sizes and weights of the run.
        tree: of groups that all have a positive or a negative.
        device: where to compute.
        workers: processes that read pictures.
        watch: told what each part of a step is.
        draws: another number gives other samples and degradations to the same networks.
    """

    def __init__(
        self, config: TrainConfig, tree: Path, device: torch.device, workers: int, watch: Stopwatch, draws: int = 0
    ) -> None:
        self._config, self._device, self._watch = config, device, watch
        torch.manual_seed(config.seed)  # networks are built in the order in which ours are: they start alike
        args = dict(config.generator.args)
        if config.generator.name == "swinir":
            args["pad"] = "official"
        self._generator = build_network(config.generator.name, **args).to(device)
        self._average = copy.deepcopy(self._generator).requires_grad_(False)
        self._discriminator = build_network(config.discriminator.name, **config.discriminator.args).to(device)
        layers = {name: weight for name, weight in config.perceptual.layers.items() if weight}
        self._perceptual = PerceptualLoss(layers, config.perceptual.source).to(device)
        self._optimizers = [
            torch.optim.Adam(network.parameters(), config.learning_rate, config.betas)
            for network in (self._generator, self._discriminator)
        ]
        torch.manual_seed(draws)
        random.seed(draws)
        groups = PlainGroups(tree)
        loader = DataLoader(
            groups,
            config.batch_size,
            sampler=RandomSampler(groups, replacement=True, num_samples=_ENDLESS),
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
            pin_memory=device.type == "cuda",
        )
        self._batches: Iterator[Batch] = iter(loader)
        self._source = RandomSource(draws, device)
        assert config.pool_size % config.batch_size == 0
        self._pool: Batch = {}
        self._filled = 0
        watch.watch_network(self._generator, "generator", "rest")
        watch.watch_network(self._perceptual, "perceptual", "rest")
        watch.watch_network(self._discriminator, "discriminator", "rest")

    def step(self) -> float:
        """Take one step of both networks and return the sum of the generator's losses."""
        config, watch = self._config, self._watch
        watch.begin("waiting for data")
        loaded = next(self._batches)
        watch.begin("degradation and pool")
        batch = {name: value.to(self._device, non_blocking=True) for name, value in loaded.items()}
        assert isinstance(config.degradation, DegradationSettings)
        with torch.no_grad():
            batch["lr"] = degrade(batch["original"], config.degradation, self._source)
            batch = self._exchange(self._cut(batch))
        labels = batch["labels"].tolist()
        target = torch.stack([self._pick(batch, k, labels[k], POSITIVE) for k in range(len(labels))])

        watch.begin("rest")
        self._discriminator.requires_grad_(False)
        output = self._generator(batch["lr"])
        losses = {"pixel": config.loss.pixel * (output - target).abs().mean()}
        losses["perceptual"] = config.loss.perceptual * self._perceptual(output, target)
        losses["adversarial"] = config.loss.adversarial * _verdict_loss(self._discriminator(output), 1.0)
        watch.begin("negative")
        losses["negative"] = -config.loss.negative * self._negative(batch, labels, output)
        watch.watch_backward(losses["negative"], "negative")
        watch.begin("rest")
        self._optimizers[0].zero_grad()
        sum(losses.values(), output.new_zeros(())).backward()
        watch.begin("optimizers and EMA")
        self._optimizers[0].step()

        watch.begin("rest")
        self._discriminator.requires_grad_(True)
        self._optimizers[1].zero_grad()
        for name, images, wanted in (("real", target, 1.0), ("fake", output.detach(), 0.0)):
            losses[name] = _verdict_loss(self._discriminator(images), wanted)
            losses[name].backward()
        watch.begin("optimizers and EMA")
        self._optimizers[1].step()
        with torch.no_grad():
            for average, value in zip(self._average.parameters(), self._generator.parameters(), strict=True):
                average.mul_(config.ema_decay).add_(value, alpha=1 - config.ema_decay)
        watch.begin("rest")
        told = {name: value.item() for name, value in losses.items()}
        return float(sum(told[name] for name in ("pixel", "perceptual", "adversarial", "negative")))

    def _cut(self, batch: Batch) -> Batch:
        """One crop for the whole batch."""
        config = self._config
        side = config.crop_px // config.scale
        top, left = (random.randint(0, size - side) for size in batch["lr"].shape[2:])
        cut = dict(batch)
        cut["lr"] = batch["lr"][:, :, top : top + side, left : left + side]
        for name in ("original", *CANDIDATES):
            rows, columns = (slice(config.scale * start, config.scale * (start + side)) for start in (top, left))
            cut[name] = batch[name][:, :, rows, columns]
        return cut

    def _exchange(self, batch: Batch) -> Batch:
        """Fill the pool; then shuffle all of it, give its first pairs and put the new ones in their places."""
        size, count = self._config.pool_size, len(batch["lr"])
        if not size:
            return batch
        if not self._pool:
            self._pool = {name: value.new_empty((size, *value.shape[1:])) for name, value in batch.items()}
        if self._filled < size:
            for name, value in batch.items():
                self._pool[name][self._filled : self._filled + count] = value
            self._filled += count
            return batch
        order = torch.randperm(size, device=self._device)
        drawn = {}
        for name, value in batch.items():
            self._pool[name] = self._pool[name][order]
            drawn[name] = self._pool[name][:count].clone()
            self._pool[name][:count] = value
        return drawn

    @staticmethod
    def _pick(batch: Batch, sample: int, labels: list[int], wanted: int) -> Tensor:
        return batch[draw(labels, wanted) or "original"][sample]

    def _negative(self, batch: Batch, labels: list[list[int]], output: Tensor) -> Tensor:
        """The mean distance to the negatives, sample by sample."""
        total = output.new_zeros(())
        for k, given in enumerate(labels):
            negative = draw(given, NEGATIVE)
            if negative is None:
                continue
            with torch.no_grad():
                map_of_sample = self._map(batch, k, negative, draw(given, POSITIVE))
            total = total + (map_of_sample * output[k] - map_of_sample * batch[negative][k]).abs().mean()
        return total / len(labels)

    def _map(self, batch: Batch, sample: int, negative: str, positive: str | None) -> Tensor:
        """Of one sample, (1, H, W)."""
        loss = self._config.loss

        def of_candidate(name: str) -> Tensor:
            residual = (batch["original"][sample] - batch[name][sample]).abs().sum(0, keepdim=True)
            margin, window = loss.negative_window_px // 2, loss.negative_window_px
            padded = functional.pad(residual[None], (margin,) * 4, mode="reflect")[0]
            variances = padded.unfold(1, window, 1).unfold(2, window, 1).var((-1, -2))
            return batch["agreement"][sample, CANDIDATES.index(name)] / 3 * variances**loss.negative_power

        found = of_candidate(negative)
        if positive is None:
            return found
        return torch.where(found > of_candidate(positive), found, 0)


def degrade(images: Tensor, settings: DegradationSettings, source: RandomSource) -> Tensor:
    """As `hggt_models.degradation.chain.degrade` for a batch with one source, but with what looks at single samples."""
    count, _, height, width = images.shape
    images = filter_images(images, draw_kernels(count, settings, source).to(images.device))
    low, high = settings.resize_scale
    enlarge, shrink = settings.enlarge_probability, settings.shrink_probability
    bounds = random.choices([(1, high), (low, 1), (1, 1)], (enlarge, shrink, max(0, 1 - enlarge - shrink)))[0]
    mode = random.choice(settings.resize_modes)
    images = functional.interpolate(images, scale_factor=random.uniform(*bounds), mode=mode)
    is_grey = (torch.rand(count) < settings.grey_probability).to(images.device)
    if random.random() < settings.gaussian_probability:
        sigmas_8bit = source.uniform(count, *settings.gaussian_sigma_8bit).to(images.device)
        images = add_gaussian_noise(images, sigmas_8bit, is_grey, source.pixels)
    else:
        images = _add_shot_noise(images, source.uniform(count, *settings.poisson_scale).to(images.device), is_grey)
    images = _compress(images, source.uniform(count, *settings.jpeg_quality).to(images.device))
    images = functional.interpolate(images, (height // settings.scale, width // settings.scale), mode=mode)
    return (images * 255).round().clamp(0, 255) / 255


def _add_shot_noise(images: Tensor, scales: Tensor, is_grey: Tensor) -> Tensor:
    def noise_of(values: Tensor) -> Tensor:
        levels = (values * 255).round().clamp(0, 255) / 255
        counts = [len(torch.unique(one)) for one in levels]
        photons = values.new_tensor([2.0 ** math.ceil(math.log2(number)) for number in counts]).view(-1, 1, 1, 1)
        return torch.poisson(levels * photons) / photons - levels

    noise = noise_of(images)
    if is_grey.any():
        weights = images.new_tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)
        grey = noise_of((images * weights).sum(1, keepdim=True))
        noise = torch.where(is_grey.view(-1, 1, 1, 1), grey, noise)
    return (images + noise * scales.view(-1, 1, 1, 1)).clamp(0, 1)


def _compress(images: Tensor, qualities: Tensor) -> Tensor:
    """JPEG in the official form, in float32."""
    factors = []
    for quality in qualities:
        factors.append((5000 / quality if quality < 50 else 200 - 2 * quality) / 100)  # looks at the device
    height, width = images.shape[-2:]
    to_ycc, to_rgb, dct = (matrix.float().to(images.device) for matrix in (jpeg._TO_YCC, jpeg._TO_RGB, jpeg._DCT))
    tables = jpeg._TABLES.mT.float().to(images.device) * torch.stack(factors).view(-1, 1, 1, 1)  # (N, 2, 8, 8)
    padded = functional.pad(images, (0, -width % 16, 0, -height % 16))
    ycc = torch.einsum("dc,nchw->ndhw", to_ycc, padded * 255 - 128)
    planes = [ycc[:, :1], functional.avg_pool2d(ycc[:, 1:], 2)]
    for k, plane in enumerate(planes):
        rows, columns = plane.shape[2] // 8, plane.shape[3] // 8
        blocks = plane.reshape(*plane.shape[:2], rows, 8, columns, 8).transpose(3, 4)
        steps = tables[:, k, None, None, None]
        coefficients = (dct @ blocks @ dct.T / steps).round() * steps
        planes[k] = (dct.T @ coefficients @ dct).transpose(3, 4).reshape(plane.shape)
    chroma = functional.interpolate(planes[1], scale_factor=2.0, mode="nearest")
    rgb = torch.einsum("dc,nchw->ndhw", to_rgb, torch.cat([planes[0], chroma], 1)[..., :height, :width])
    return ((rgb + 128) / 255).clamp(0, 1)


def _verdict_loss(logits: Tensor, wanted: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
