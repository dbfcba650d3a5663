"""Settings of a degradation, and the published ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from hggt_models.degradation.jpeg import JpegForm
from hggt_models.degradation.limits import (
    DegradationError,
    choice_faults,
    kernel_size_faults,
    number_faults,
    range_faults,
    scale_faults,
    weight_faults,
)

KernelKind = Literal[
    "isotropic",
    "anisotropic",
    "generalized_isotropic",
    "generalized_anisotropic",
    "plateau_isotropic",
    "plateau_anisotropic",
]
ResizeMode = Literal["area", "bilinear", "bicubic"]
ResizeForm = Literal["official", "aligned"]
NoiseKind = Literal["colour", "grey", "correlated"]
PublishedName = Literal["sr", "enhance-01", "enhance-02", "enhance-03", "enhance-04", "realesrgan", "bsrgan"]
Range = tuple[float, float]

_UP_TO_1 = (0.0, 1.0)
_STAGE_RANGES = {
    "blur_sigma_px": (0.01, 100.0),
    "generalized_beta": (0.01, 100.0),
    "plateau_beta": (0.01, 100.0),
    "resize_scale": (0.01, 100.0),
    "gaussian_sigma_8bit": (0.0, 255.0),
    "poisson_scale": (0.0, 100.0),
    "jpeg_quality": (1.0, 100.0),
}
_AROUND_1 = ("generalized_beta", "plateau_beta", "resize_scale")
_STAGE_PROBABILITIES = dict.fromkeys(
    ("sinc_probability", "enlarge_probability", "shrink_probability", "gaussian_probability", "grey_probability"),
    _UP_TO_1,
)
_SECOND_PROBABILITIES = dict.fromkeys(("blur_probability", "final_sinc_probability"), _UP_TO_1)
_SHUFFLED_RANGES = {
    "resize_divisor": (1.0, 100.0),
    "gaussian_sigma_8bit": (0.0, 255.0),
    "jpeg_quality": (1.0, 100.0),
}
_SHUFFLED_NUMBERS = {
    **dict.fromkeys(
        ("half_probability", "anisotropic_probability", "resize_probability", "jpeg_probability"), _UP_TO_1
    ),
    **dict.fromkeys(("blur_base_px", "blur_per_scale_px"), (0.0, 100.0)),
    **dict.fromkeys(("decimation_sigma_px", "decimation_sigma_per_scale_px"), (0.0, 100.0)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSettings:
    """Settings of one stage: blur, resize, noise, JPEG.

    Ranges are (lowest, highest), sampled uniformly. DegradationError lists all values that are impossible or contradict
    each other.

    Attributes:
        kernel_sizes_px: Odd widths of blur kernels, equally likely.
        blur_sigma_px: Standard deviation along each axis of a kernel.
        sinc_probability: Probability of a sinc kernel.
        kernel_kinds: Weight of each other kind of kernel: Gaussian, `generalized` Gaussian or `plateau` (with a flat
            top), each round (`isotropic`) or elongated (`anisotropic`).
        generalized_beta: Exponent of generalized kernels; half of the draws are below 1, half above.
        plateau_beta: Exponent of plateau kernels; half of the draws are below 1, half above.
        resize_scale: Factor of the resize between blur and noise; above 1 it enlarges.
        enlarge_probability: Probability that this resize enlarges.
        shrink_probability: Probability that it shrinks; otherwise the size is kept.
        gaussian_sigma_8bit: Standard deviation of Gaussian noise in 8-bit grey levels.
        poisson_scale: Strength of Poisson noise, where 1 is the photon noise of the picture's own 8-bit values.
        gaussian_probability: Probability of Gaussian noise; otherwise the noise is Poisson.
        grey_probability: Probability that the noise is the same in all channels.
        jpeg_quality: JPEG quality, 1 to 100.
    """

    kernel_sizes_px: tuple[int, ...]
    blur_sigma_px: Range
    sinc_probability: float
    kernel_kinds: Mapping[KernelKind, float] = field(default_factory=lambda: {"isotropic": 0.7, "anisotropic": 0.3})
    generalized_beta: Range = (0.1, 2.0)
    plateau_beta: Range = (0.1, 1.0)
    resize_scale: Range
    enlarge_probability: float = 0.1
    shrink_probability: float = 0.85
    gaussian_sigma_8bit: Range
    poisson_scale: Range
    gaussian_probability: float = 0.5
    grey_probability: float
    jpeg_quality: Range

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise DegradationError(*faults)

    def _faults(self) -> Iterator[str]:
        yield from kernel_size_faults(self.kernel_sizes_px)
        wrong = list(range_faults(self, _STAGE_RANGES))
        yield from wrong
        for name in _AROUND_1:
            low, high = getattr(self, name)
            if not low <= 1 <= high and not any(fault.startswith(name) for fault in wrong):
                yield f"{name} is {(low, high)}; expected a range that contains 1, because draws lie below and above it"
        yield from number_faults(self, _STAGE_PROBABILITIES)
        if self.enlarge_probability + self.shrink_probability > 1:
            yield (
                f"enlarge_probability {self.enlarge_probability} and shrink_probability {self.shrink_probability} "
                "add up to more than 1; the rest is the probability of keeping the size"
            )
        yield from weight_faults("kernel_kinds", self.kernel_kinds, get_args(KernelKind))


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondStage(StageSettings):
    """A second stage, which ends with JPEG and the final resize in random order; the defaults are the published ones.

    Attributes:
        blur_probability: Probability that this stage blurs.
        final_sinc_probability: Probability of a sinc filter after the final resize.
    """

    kernel_sizes_px: tuple[int, ...] = (3, 5)
    blur_sigma_px: Range = (0.1, 0.4)
    blur_probability: float = 0.8
    sinc_probability: float = 0.01
    resize_scale: Range = (0.9, 1.1)
    gaussian_sigma_8bit: Range = (0, 4)
    poisson_scale: Range = (0, 0.3)
    grey_probability: float = 0.2
    jpeg_quality: Range = (87, 95)
    final_sinc_probability: float = 0.1

    def _faults(self) -> Iterator[str]:
        yield from super(SecondStage, self)._faults()  # without arguments, `super` fails in dataclasses with slots
        yield from number_faults(self, _SECOND_PROBABILITIES)


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationSettings(StageSettings):
    """Settings of the degradation: blur, resize, noise, JPEG, then a second stage if there is one, final resize.

    The defaults are those that all published settings share.

    Attributes:
        order: Order of the steps: `fixed` here, `shuffled` in `ShuffledSettings`.
        scale: Side of the original divided by side of the result.
        resize_modes: Interpolation modes, equally likely; without a second stage the final resize uses the same one.
        resize_form: `official` samples at exact multiples of 1 / factor, which cuts up to a pixel off the right and
            bottom edges and shifts the picture slightly; `aligned` covers the picture exactly.
        jpeg_form: `libjpeg` compresses like the common library; `official` like the official code, with
            nearest-neighbour chroma and without rounding pixels.
        second: The second stage, as in Real-ESRGAN.

    Example:
        >>> from dataclasses import replace
        >>> from hggt_models import load_config
        >>> published = load_config("rrdb-psnr").degradation
        >>> replace(published, jpeg_quality=(30, 60)).jpeg_quality
        (30, 60)
    """

    order: Literal["fixed"] = "fixed"
    scale: int
    resize_modes: tuple[ResizeMode, ...] = get_args(ResizeMode)
    resize_form: ResizeForm = "official"
    jpeg_form: JpegForm = "official"
    second: SecondStage | None = None

    def _faults(self) -> Iterator[str]:
        yield from scale_faults(self.scale)
        yield from super(DegradationSettings, self)._faults()
        yield from choice_faults("resize_modes", self.resize_modes, get_args(ResizeMode))
        yield from choice_faults("resize_form", (self.resize_form,), get_args(ResizeForm))
        yield from choice_faults("jpeg_form", (self.jpeg_form,), get_args(JpegForm))


@dataclass(frozen=True, kw_only=True, slots=True)
class ShuffledSettings:
    """Settings of BSRGAN's degradation: two blurs, two resizes, Gaussian noise and JPEG in random order, then JPEG.

    Each sample has its own order, in which the second resize comes after the first one and gives the final size. Ranges
    are (lowest, highest), sampled uniformly. The defaults are the published ones. DegradationError lists all impossible
    values.

    Attributes:
        order: Order of the steps: `shuffled` here, `fixed` in `DegradationSettings`.
        scale: Side of the original divided by side of the result.
        half_probability: Probability of halving a picture first, if the scale is 4; the rest of the scale is then 2.
        kernel_sizes_px: Odd widths of blur kernels, equally likely.
        blur_base_px: Part of the widest blur that does not depend on the scale, see `blur_per_scale_px`.
        blur_per_scale_px: Part of the widest blur for each unit of the rest of the scale. Between 0 and the widest blur
            lie the standard deviation of isotropic kernels and both variances of anisotropic ones.
        anisotropic_probability: Probability that a blur is anisotropic.
        resize_divisor: Divisor of the sides in the first resize.
        resize_probability: Probability that the first resize interpolates; otherwise the picture is blurred and every
            pixel whose place is a multiple of the rest of the scale is kept.
        decimation_sigma_px: Lowest standard deviation of the blur before pixels are left out.
        decimation_sigma_per_scale_px: Its highest standard deviation for each unit of the rest of the scale.
        resize_modes: Interpolation modes, equally likely; `area` averages exactly what a pixel covers.
        gaussian_sigma_8bit: Standard deviation of Gaussian noise in 8-bit grey levels, a whole number.
        noise_kinds: Weight of each kind of Gaussian noise: independent channels (`colour`), the same in all of them
            (`grey`), or `correlated` at random and of the highest standard deviation.
        jpeg_quality: JPEG quality, a whole number from 1 to 100.
        jpeg_probability: Probability of the JPEG compression among the shuffled steps; the last one always happens.
        jpeg_form: `libjpeg` or `official`, as in `DegradationSettings`.
    """

    order: Literal["shuffled"] = "shuffled"
    scale: int = 4
    half_probability: float = 0.25
    kernel_sizes_px: tuple[int, ...] = (3, 5, 7, 9)
    blur_base_px: float = 0.2
    blur_per_scale_px: float = 0.2
    anisotropic_probability: float = 0.3
    resize_divisor: Range = (1, 1 / 0.85)
    resize_probability: float = 0.75
    decimation_sigma_px: float = 0.1
    decimation_sigma_per_scale_px: float = 0.25
    resize_modes: tuple[ResizeMode, ...] = get_args(ResizeMode)
    gaussian_sigma_8bit: tuple[int, int] = (1, 12)
    noise_kinds: Mapping[NoiseKind, float] = field(
        default_factory=lambda: {"colour": 0.4, "grey": 0.4, "correlated": 0.2}
    )
    jpeg_quality: tuple[int, int] = (75, 95)
    jpeg_probability: float = 0.9
    jpeg_form: JpegForm = "libjpeg"

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise DegradationError(*faults)

    def _faults(self) -> Iterator[str]:
        yield from scale_faults(self.scale)
        yield from kernel_size_faults(self.kernel_sizes_px)
        yield from range_faults(self, _SHUFFLED_RANGES)
        yield from number_faults(self, _SHUFFLED_NUMBERS)
        yield from weight_faults("noise_kinds", self.noise_kinds, get_args(NoiseKind))
        yield from choice_faults("resize_modes", self.resize_modes, get_args(ResizeMode))
        yield from choice_faults("jpeg_form", (self.jpeg_form,), get_args(JpegForm))
        if self.decimation_sigma_px > self.decimation_sigma_per_scale_px * self.scale:
            yield (
                f"decimation_sigma_px {self.decimation_sigma_px} is more than decimation_sigma_per_scale_px "
                f"{self.decimation_sigma_per_scale_px} times the scale; expected at most that"
            )


Degradation = DegradationSettings | ShuffledSettings

SR = DegradationSettings(
    scale=4,
    kernel_sizes_px=(3, 5, 7, 9),
    blur_sigma_px=(0.1, 1.0),
    sinc_probability=0.01,
    resize_scale=(0.8, 1.2),
    gaussian_sigma_8bit=(1, 12),
    poisson_scale=(0.05, 0.8),
    grey_probability=0.2,
    jpeg_quality=(75, 95),
)
ENHANCE_01 = ENHANCE_03 = DegradationSettings(
    scale=1,
    kernel_sizes_px=(3, 5, 7),
    blur_sigma_px=(0.1, 0.5),
    sinc_probability=0.1,
    resize_scale=(0.9, 1.1),
    gaussian_sigma_8bit=(6.5, 13),
    poisson_scale=(0.45, 0.9),
    grey_probability=0.1,
    jpeg_quality=(80, 95),
)
ENHANCE_02 = ENHANCE_04 = replace(
    ENHANCE_01, blur_sigma_px=(0.5, 1.0), gaussian_sigma_8bit=(0.5, 6.5), poisson_scale=(0.05, 0.45)
)
REALESRGAN = replace(
    SR,
    kernel_sizes_px=(3, 5, 7),
    blur_sigma_px=(0.1, 0.6),
    resize_scale=(0.9, 1.1),
    gaussian_sigma_8bit=(1, 8),
    poisson_scale=(0.05, 0.5),
    jpeg_quality=(85, 95),
    second=SecondStage(),
)
# Settings of the official option files and of the official code, by the names that commands use.
PUBLISHED: dict[PublishedName, Degradation] = {
    "sr": SR,
    "enhance-01": ENHANCE_01,
    "enhance-02": ENHANCE_02,
    "enhance-03": ENHANCE_03,
    "enhance-04": ENHANCE_04,
    "realesrgan": REALESRGAN,
    "bsrgan": ShuffledSettings(),
}
