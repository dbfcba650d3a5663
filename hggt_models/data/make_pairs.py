"""Makes training pairs from loaded pictures, on the device and without waiting for it.

A picture is degraded before it is cropped, so that the degradation uses what surrounds the crop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hggt_models.config.sections import BOUNDED_FORMS, PAIR_TARGETS, WHOLE_GROUP
from hggt_models.config.train import TrainConfig
from hggt_models.degradation.chain import RandomNumbers, degrade
from hggt_models.degradation.random_source import RandomSource
from hggt_models.degradation.sharpening import sharpen
from hggt_models.losses.negative import negative_map


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """The input of one training step; images are float32 (N, 3, H, W) in [0, 1].

    Attributes:
        lr: The generator's input, `scale` times smaller than the others.
        target: Image that the pixel and perceptual losses compare the output with.
        real: Real input of the discriminator and reference of LDL's artefact map: the target before it is sharpened.
        negative: Image that the output should differ from; None except for the targets `positive_negative` and
            `preference`.
        negative_map: (N, 1, H, W), weight of each pixel of the negative; None for the form `dpo` of the negative loss.
        has_negative: (N,), whether a sample has a negative.
        chosen: Image that the forms `triplet` and `dpo` compare with the negative; None for the others.
        targets: (N, K, 3, H, W), all positives, of which `target` is the first; None unless `positives` is `nearest` or
            `all`.
        has_target: (N, K), which of them are not repetitions.
    """

    lr: Tensor
    target: Tensor
    real: Tensor
    negative: Tensor | None = None
    negative_map: Tensor | None = None
    has_negative: Tensor | None = None
    chosen: Tensor | None = None
    targets: Tensor | None = None
    has_target: Tensor | None = None


class PairMaker:
    """Makes pairs in the form that a `PairPool` stores: images of whole 8-bit levels as uint8."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config

    @torch.no_grad()
    def make(self, batch: Mapping[str, Tensor], sources: RandomNumbers | Sequence[RandomSource]) -> dict[str, Tensor]:
        """Degrade and crop a batch: stacked samples of a dataset, on the device. See `degrade` for `sources`."""
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
            if config.has_discriminator:  # as in the official code, which without one sharpens before it crops
                pairs["target"] = sharpen(_as_images(pairs["real"]))
            else:
                whole = source_images if compared == 0 else sharpen(_as_images(pictures[:, compared]))
                pairs["target"] = crop(whole)
        has_pair = config.target in PAIR_TARGETS
        if config.positives in WHOLE_GROUP:
            others = pictures[:, 4 if has_pair else 2 :].unbind(1)
            pairs["targets"] = torch.stack([pairs.pop("target"), *map(crop, others)], 1)
            pairs["has_target"] = batch["has_target"]
        if has_pair:
            original, positive, negative = (crop(pictures[:, k]) for k in (0, 2, 3))
            pairs |= {"negative": negative, "has_negative": batch["has_negative"]}
            if config.loss.negative_form in BOUNDED_FORMS:
                pairs["chosen"] = positive
            if config.loss.negative_form != "dpo":
                pairs["negative_map"] = negative_map(
                    _as_images(original),
                    _as_images(positive),
                    _as_images(negative),
                    batch["positive_agreement"],
                    batch["negative_agreement"],
                    batch["has_positive"],
                    batch["num_annotators"],
                    window_px=config.loss.negative_window_px,
                    power=config.loss.negative_power,
                )
        return pairs

    @staticmethod
    def open(pairs: Mapping[str, Tensor]) -> TrainingPairs:
        """Pairs from `make` as float32 images."""
        images = {name: _as_images(value) if value.dtype == torch.uint8 else value for name, value in pairs.items()}
        if "targets" in images:
            images["target"] = images["targets"][:, 0]
        return TrainingPairs(**{"real": images["target"], **images})

    def _corners(self, lr: Tensor, sources: RandomNumbers | Sequence[RandomSource]) -> list[tuple[int, int]]:
        """(top, left) of each sample's crop in pixels of the LR; the same for all if they share a source."""
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
    """Images, which have whole 8-bit levels, as uint8."""
    return (images * 255).round().byte()
