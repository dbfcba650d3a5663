"""From pictures as a loader gives them to pairs that a network learns from, on the device and without waiting for it.

The whole picture is degraded first and cut afterwards, so the degradation sees what lies around a crop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hggt_models.config.train import TrainConfig
from hggt_models.degradation.chain import Source, degrade
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.sharpening import sharpen
from hggt_models.losses.negative import negative_map


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """What one step computes with; images are float32 (N, 3, H, W) in [0, 1].

    Attributes:
        lr: the generator's input, `scale` times smaller than the others.
        target: what the pixel and perceptual losses compare with.
        real: the discriminator's real input, which artefacts are sought by too; the target, unless that is sharpened.
        negative: what the output should be far from, null but for the target `positive_negative`.
        negative_map: (N, 1, H, W), where that counts.
        has_negative: (N,), for which samples it does.
    """

    lr: Tensor
    target: Tensor
    real: Tensor
    negative: Tensor | None = None
    negative_map: Tensor | None = None
    has_negative: Tensor | None = None


class PairMaker:
    """Makes pairs as `config` says, in the form in which a `PairPool` keeps them: whole 8-bit levels as uint8.

    Args:
        config: of the run.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config

    @torch.no_grad()
    def make(self, batch: Mapping[str, Tensor], sources: Source | Sequence[RandomSource]) -> dict[str, Tensor]:
        """Degrade and cut.

        Args:
            batch: samples of a `GroupDataset` or a `PictureDataset`, stacked, on the device.
            sources: of the degradation and of the crop, as `degrade` takes them.
        """
        config = self._config
        pictures = batch["pictures"]  # (N, K, 3, H, W)
        source_images = _as_images(pictures[:, 0])
        if config.sharpen:
            source_images = sharpen(source_images)
        lr = degrade(source_images, config.degradation, sources)
        corners = self._corners(lr, sources)
        pairs = {"lr": _as_levels(_cut(lr, corners, 1, config.crop_px // config.scale))}

        def crop(images: Tensor) -> Tensor:
            return _cut(images, corners, config.scale, config.crop_px)

        compared = 0 if config.target in ("picture", "original") else 1
        pairs["target"] = crop(pictures[:, compared])
        if config.sharpen:
            pairs["real"] = pairs["target"]
            if config.has_discriminator:  # as officially; without one, sharpening comes before cutting
                pairs["target"] = sharpen(_as_images(pairs["real"]))
            else:
                whole = source_images if compared == 0 else sharpen(_as_images(pictures[:, compared]))
                pairs["target"] = crop(whole)
        if config.target == "positive_negative":
            original, positive, negative = (crop(pictures[:, k]) for k in (0, 2, 3))
            pairs |= {
                "negative": negative,
                "has_negative": batch["has_negative"],
                "negative_map": negative_map(
                    _as_images(original),
                    _as_images(positive),
                    _as_images(negative),
                    batch["positive_agreement"],
                    batch["negative_agreement"],
                    batch["has_positive"],
                    batch["num_annotators"],
                    window_px=config.loss.negative_window_px,
                    power=config.loss.negative_power,
                ),
            }
        return pairs

    @staticmethod
    def open(pairs: Mapping[str, Tensor]) -> TrainingPairs:
        """Pairs that `make` gave, ready to compute with."""
        images = {name: _as_images(value) if value.dtype == torch.uint8 else value for name, value in pairs.items()}
        return TrainingPairs(**{"real": images["target"], **images})

    def _corners(self, lr: Tensor, sources: Source | Sequence[RandomSource]) -> list[tuple[int, int]]:
        """Top and left of each sample's crop, in pixels of the LR; one for all where sources are not apart."""
        room = [side - self._config.crop_px // self._config.scale for side in lr.shape[2:]]

        def draw(source: RandomSource) -> tuple[int, int]:
            top, left = (min(int(source.uniform(1, 0, size + 1)), size) for size in room)
            return top, left

        if isinstance(sources, Sequence):
            return [draw(source) for source in sources]
        return [draw(sources.shared)] * len(lr)


def _cut(images: Tensor, corners: Sequence[tuple[int, int]], scale: int, side: int) -> Tensor:
    pieces = [
        image[:, scale * top : scale * top + side, scale * left : scale * left + side]
        for image, (top, left) in zip(images, corners, strict=True)
    ]
    return torch.stack(pieces)


def _as_images(pixels: Tensor) -> Tensor:
    return pixels.float() / 255


def _as_levels(images: Tensor) -> Tensor:
    """Images of whole 8-bit levels as uint8."""
    return (images * 255).round().byte()
