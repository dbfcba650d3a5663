"""What a degradation may do and how likely, and the settings that were published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from hggt_data.errors import HggtError
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
Range = tuple[float, float]

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


class DegradationError(HggtError, ValueError):
    """Degradation settings contradict themselves, or images do not fit them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationSettings:
    """How good pictures become bad ones: blur, resize, noise, JPEG, resize to the final size.

    Ranges are (lowest, highest), drawn from uniformly. The defaults are what all published settings have in common.

    Attributes:
        scale: how many times smaller than the original the result is, each way.
        kernel_sizes_px: odd widths of blur kernels, all equally likely.
        blur_sigma_px: of each axis of a kernel.
        sinc_probability: of a sinc kernel.
        kernel_kinds: weights of the kinds that all other kernels are.
        generalized_beta, plateau_beta: exponents of those kinds; half of the draws lie below 1, half above.
        resize_scale: of the resize between blur and noise; a factor above 1 enlarges.
        enlarge_probability, shrink_probability: of that resize; otherwise the size is kept.
        resize_modes: all equally likely; the final resize uses the same one.
        resize_form: `official` samples at exact multiples of 1 / factor, so that the picture loses up to a pixel at its
            right and lower edge and no longer lies quite on its original; `aligned` covers the picture exactly.
        gaussian_sigma_8bit: of Gaussian noise, in 8-bit grey levels.
        poisson_scale: of Poisson noise, see `add_poisson_noise`.
        gaussian_probability: of Gaussian noise; otherwise the noise is Poisson.
        grey_probability: that noise is the same in all channels.
        jpeg_quality: 1 to 100.
        jpeg_form: see `compress_jpeg`.

    Raises:
        DegradationError: values that cannot be, or contradict each other; all of them are named.
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
        faults = list(self._faults())
        if faults:
            raise DegradationError("; ".join(faults))

    def _faults(self) -> Iterator[str]:
        if self.scale < 1:
            yield f"scale is {self.scale}; expected 1 or more"
        if not self.kernel_sizes_px or any(size < 1 or size % 2 == 0 for size in self.kernel_sizes_px):
            yield f"kernel_sizes_px is {self.kernel_sizes_px}; expected one or more odd numbers"
        for name, (least, most) in _RANGE_LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                yield f"{name} is {(low, high)}; expected (lowest, highest) within {least:g} to {most:g}"
            elif name in _AROUND_1 and not low <= 1 <= high:
                yield f"{name} is {(low, high)}; expected 1 between the two, since draws lie below and above it"
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} is {getattr(self, name)}; expected 0 to 1"
        if self.enlarge_probability + self.shrink_probability > 1:
            yield (
                f"enlarge_probability {self.enlarge_probability} and shrink_probability {self.shrink_probability} "
                "exceed 1 together; what they leave is the probability of keeping the size"
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
            yield f"{name} has {', '.join(given) or 'nothing'}; expected some of {', '.join(known)}"


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
# Settings of the official option files, by the names that commands know.
PUBLISHED = {
    "sr": SR,
    "enhance-01": ENHANCE_01,
    "enhance-02": ENHANCE_02,
    "enhance-03": ENHANCE_03,
    "enhance-04": ENHANCE_04,
}
