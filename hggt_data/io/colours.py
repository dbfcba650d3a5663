"""Colours of users' pictures: what their headers declare, and the conversion of embedded colour profiles to sRGB.

Conversion is that of Little CMS, which comes with Pillow: relative colorimetric with black point compensation, so
that colours outside sRGB are clipped. The same profile and pixels always give the same result.
"""

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms

Conversion = Callable[[Image.Image], Image.Image]

_Mode = Literal["RGB", "L"]
_SPACES: dict[str, _Mode] = {"RGB ": "RGB", "GRAY": "L"}
_LEVELS = 17  # per channel, to compare a profile with sRGB
_LARGEST_SHIFT = 2  # in levels: profiles of sRGB are rounded
_SRGB_GAMMA = 1 / 2.2
SRGB_CICP = bytes((1, 13, 0, 1))  # the cICP chunk of a PNG in sRGB
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # white, red, green, blue


class ProfileError(ValueError):
    """A colour profile is damaged, or is not for RGB or grey pictures."""


def find_conversion(profile: bytes, *, is_grey: bool) -> Conversion | None:
    """What turns a picture with this embedded profile into RGB in sRGB; None if the profile has the colours of sRGB.

    ProfileError if the profile cannot be used. The profile of an RGB picture may also belong to a grey one.
    """
    mode, transform = _transform_of(profile)
    if mode == "L" and not is_grey:
        raise ProfileError("the profile of a grey picture in an RGB picture")
    return None if transform is None else lambda image: transform.apply(image.convert(mode))


def declares_other_colours(info: Mapping[Any, Any]) -> bool:
    """Whether a PNG without a profile declares a gamma or primaries that are not those of sRGB."""
    if "srgb" in info or "icc_profile" in info:
        return False
    gamma, primaries = info.get("gamma", _SRGB_GAMMA), info.get("chromaticity", _SRGB_PRIMARIES)
    return abs(gamma - _SRGB_GAMMA) > 0.01 or not np.allclose(primaries, _SRGB_PRIMARIES, atol=0.005)


def is_adobe_rgb(exif: Image.Exif) -> bool:
    """Whether a camera says that a JPEG has the colours of Adobe RGB, without a profile."""
    return bool(exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex) == "R03")


@lru_cache(maxsize=32)
def _transform_of(profile: bytes) -> tuple[_Mode, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile is for, and its transform to sRGB; None if it changes no colour."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _SPACES[source.profile.xcolor_space]
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, TypeError, KeyError, ImageCms.PyCMSError) as error:
        raise ProfileError(str(error)) from error
    colours = _sample_colours(mode)
    change = np.asarray(transform.apply(colours), np.int16) - np.asarray(colours.convert("RGB"), np.int16)
    return mode, None if np.abs(change).max() <= _LARGEST_SHIFT else transform


def _sample_colours(mode: _Mode) -> Image.Image:
    greys = np.arange(256, dtype=np.uint8)[None]
    if mode == "L":
        return Image.fromarray(greys)
    levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    return Image.fromarray(np.concatenate([cube, greys[..., None].repeat(3, 2)], 1))
