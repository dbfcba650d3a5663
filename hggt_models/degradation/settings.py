"""Settings of a degradation, and the published ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from hggt_data.errors import SettingsError
from hggt_models.degradation.jpeg import JpegForm

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
PublishedName = Literal["sr", "enhance-01", "enhance-02", "enhance-03", "enhance-04"]
Range = tuple[float, float]

_LARGEST_KERNEL_PX = 99  # a kernel of 100,000 would take 40 GB
_RANGE_LIMITS = {
    "blur_sigma_px": (0.01, 100.0),
    "generalized_beta": (0.01, 100.0),
    "plateau_beta": (0.01, 100.0),
    "resize_scale": (0.01, 100.0),
    "gaussian_sigma_8bit": (0.0, 255.0),
    "poisson_scale": (0.0, 100.0),
    "jpeg_quality": (1.0, 100.0),
}
_AROUND_1 = ("generalized_beta", "plateau_beta", "resize_scale")
_PROBABILITIES = (
    "sinc_probability",
    "enlarge_probability",
    "shrink_probability",
    "gaussian_probability",
    "grey_probability",
)


class DegradationError(SettingsError):
    """Degradation settings are impossible or contradictory, or images do not fit them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationSettings:
    """Settings of the degradation: blur, resize, noise, JPEG, final resize.

    Ranges are (lowest, highest), sampled uniformly. The defaults are those that all published settings share.
    DegradationError lists all values that are impossible or contradict each other.

    Attributes:
        scale: Side of the original divided by side of the result.
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
        resize_modes: Interpolation modes, equally likely; the final resize uses the same one.
        resize_form: `official` samples at exact multiples of 1 / factor, which cuts up to a pixel off the right and
            bottom edges and shifts the picture slightly; `aligned` covers the picture exactly.
        gaussian_sigma_8bit: Standard deviation of Gaussian noise in 8-bit grey levels.
        poisson_scale: Strength of Poisson noise, where 1 is the photon noise of the picture's own 8-bit values.
        gaussian_probability: Probability of Gaussian noise; otherwise the noise is Poisson.
        grey_probability: Probability that the noise is the same in all channels.
        jpeg_quality: JPEG quality, 1 to 100.
        jpeg_form: `libjpeg` compresses like the common library; `official` like the official code, with
            nearest-neighbour chroma and without rounding pixels.

    Example:
        >>> from dataclasses import replace
        >>> from hggt_models import load_config
        >>> published = load_config("rrdb-psnr").degradation
        >>> replace(published, jpeg_quality=(30, 60)).jpeg_quality
        (30, 60)
    """

    scale: int
    kernel_sizes_px: tuple[int, ...]
    blur_sigma_px: Range
    sinc_probability: float
    kernel_kinds: Mapping[KernelKind, float] = field(default_factory=lambda: {"isotropic": 0.7, "anisotropic": 0.3})
    generalized_beta: Range = (0.1, 2.0)
    plateau_beta: Range = (0.1, 1.0)
    resize_scale: Range
    enlarge_probability: float = 0.1
    shrink_probability: float = 0.85
    resize_modes: tuple[ResizeMode, ...] = ("area", "bilinear", "bicubic")
    resize_form: ResizeForm = "official"
    gaussian_sigma_8bit: Range
    poisson_scale: Range
    gaussian_probability: float = 0.5
    grey_probability: float
    jpeg_quality: Range
    jpeg_form: JpegForm = "official"

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise DegradationError(*faults)

    def _faults(self) -> Iterator[str]:
        if self.scale < 1:
            yield f"scale is {self.scale}; expected 1 or more"
        if not self.kernel_sizes_px or any(
            not 1 <= size <= _LARGEST_KERNEL_PX or size % 2 == 0 for size in self.kernel_sizes_px
        ):
            yield (
                f"kernel_sizes_px is {self.kernel_sizes_px}; expected one or more odd numbers, at most "
                f"{_LARGEST_KERNEL_PX}"
            )
        for name, (least, most) in _RANGE_LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                yield f"{name} is {(low, high)}; expected (lowest, highest) within {least:g} to {most:g}"
            elif name in _AROUND_1 and not low <= 1 <= high:
                yield f"{name} is {(low, high)}; expected a range that contains 1, because draws lie below and above it"
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} is {getattr(self, name)}; expected 0 to 1"
        if self.enlarge_probability + self.shrink_probability > 1:
            yield (
                f"enlarge_probability {self.enlarge_probability} and shrink_probability {self.shrink_probability} "
                "add up to more than 1; the rest is the probability of keeping the size"
            )
        yield from self._choice_faults("kernel_kinds", tuple(self.kernel_kinds), get_args(KernelKind))
        if min(self.kernel_kinds.values(), default=0) < 0 or sum(self.kernel_kinds.values()) <= 0:
            yield f"kernel_kinds is {dict(self.kernel_kinds)}; expected weights of 0 or more, one of them above 0"
        yield from self._choice_faults("resize_modes", self.resize_modes, get_args(ResizeMode))
        yield from self._choice_faults("resize_form", (self.resize_form,), get_args(ResizeForm))
        yield from self._choice_faults("jpeg_form", (self.jpeg_form,), get_args(JpegForm))

    @staticmethod
    def _choice_faults(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> Iterator[str]:
        if not given or not set(given) <= set(known):
            yield f"{name} has {', '.join(given) or 'nothing'}; expected one or more of {', '.join(known)}"


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
# Settings of the official option files, by the names that commands use.
PUBLISHED: dict[PublishedName, DegradationSettings] = {
    "sr": SR,
    "enhance-01": ENHANCE_01,
    "enhance-02": ENHANCE_02,
    "enhance-03": ENHANCE_03,
    "enhance-04": ENHANCE_04,
}
