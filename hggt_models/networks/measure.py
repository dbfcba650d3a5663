"""Measures what a network of unknown construction does: its scale, the sizes it takes, how far it sees."""

import copy

import torch
from torch import Tensor, nn

from hggt_models.networks.weights import first_line

# What sides may have to be multiples of, and a side that is such a multiple and not one of the next.
_SIDES = {1: 17, 2: 22, 4: 20, 8: 24, 16: 48, 32: 96, 64: 192}
_USUAL = 64
_LEAST_SIDE = 16
_STRIP_PX = 16  # the short side of strips in which distances are measured
_STRIPS_PX = (256, 1024)  # their long sides; the longer one holds the 349 pixels of ESRGAN each way
_EQUAL = 1e-9  # relative to the largest value, in double precision
_FAILURES = (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError, AssertionError)


class TrialError(Exception):
    """What is wrong with a network: a sentence that its name begins."""


def try_generator(module: nn.Module, multiple_of: int | None, minimum: int) -> tuple[int, int, set[str]]:
    """Run copies of a network on small images, on the CPU, or on a GPU if it needs one.

    `multiple_of` is what sides must be multiples of, if it is known, and `minimum` the smallest side. Returns the
    scale, the multiple, and the names of the parameters that get a gradient. TrialError if the network fails on all
    sizes, does not map RGB to enlarged RGB, or gives no parameter a gradient.
    """
    sides = _SIDES if multiple_of is None else {multiple_of: max(minimum, -(-_LEAST_SIDE // multiple_of) * multiple_of)}
    faults: dict[int, TrialError] = {}
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for multiple, side in sides.items():
            try:
                scale = _scale(module, side, device)
            except TrialError as error:
                faults.setdefault(multiple, error)
            else:
                return scale, multiple, _learning(module, side, device, scale)
    raise faults.get(_USUAL) or next(iter(faults.values()))


def try_discriminator(module: nn.Module, side: int) -> set[str]:
    """Run copies of a discriminator on images (2, 3, side, side): the names of the parameters that get a gradient.

    TrialError if it fails, does not return a tensor with one entry for each image, or if no parameter gets a gradient.
    """
    try:
        return _learning(module, side, "cpu", None)
    except TrialError:
        if not torch.cuda.is_available():
            raise
        return _learning(module, side, "cuda", None)


def measure_reach(network: nn.Module, window: int) -> int | None:
    """How many input pixels away, in rows or columns, an input pixel still influences an output pixel.

    Pixels that are not numbers make everything that depends on them not a number. `window` of them in a row are set, so
    that the result holds at any place, and may be `window` - 1 too large. None if the influence reaches the ends of the
    longest strip, if the network fails, or if it has layers that pool whole pictures.
    """
    if any(map(_pools, network.modules())):
        return None
    was_training = network.training
    network.eval()
    try:
        rows = _reach(network, 2, window)
        columns = None if rows is None else _reach(network, 3, window)
    except _FAILURES:
        return None
    finally:
        network.train(was_training)
    return None if rows is None or columns is None else max(rows, columns)


def measure_window(network: nn.Module, least: int, reach: int) -> int:
    """The smallest power of two times `least` by which a picture can be moved without any other change of the result.

    `reach` is the receptive field, measured with `least`. `least` if there is no such window up to 64 times that.
    """
    moving = copy.deepcopy(network).eval().double()
    generator = torch.Generator().manual_seed(0)
    for window in (least << power for power in range(7)):
        reach_px = reach + window  # which depends on the place in a window
        length = -(-(2 * reach_px + window + _STRIP_PX) // window) * window
        breadth = -(-_STRIP_PX // window) * window
        strip = torch.rand(1, 3, length, breadth, generator=generator, dtype=torch.float64).to(_device(network))
        try:
            with torch.no_grad():
                whole, moved = moving(strip), moving(strip[:, :, window:])
        except _FAILURES:
            return least
        scale = int(whole.shape[2]) // length
        inner = slice(scale * reach_px, scale * (length - window - reach_px))
        difference = (whole[:, :, scale * window :] - moved)[:, :, inner].abs().max()
        if difference.item() <= _EQUAL * whole.abs().max().item():
            return window
    return least


def _reach(network: nn.Module, axis: int, window: int) -> int | None:
    """The reach along an axis of images, 2 for rows and 3 for columns."""
    for strip_px in _STRIPS_PX:
        length, breadth = (-(-size // window) * window for size in (strip_px, _STRIP_PX))
        images = torch.zeros((1, 3, length, breadth) if axis == 2 else (1, 3, breadth, length), device=_device(network))
        start = length // 2 // window * window
        images.narrow(axis, start, window).fill_(torch.nan)
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            output = network(images)
        scale = int(output.shape[axis]) // length
        [touched] = output.isnan().any(dim=(0, 1, 5 - axis)).nonzero(as_tuple=True)
        if not len(touched):
            return 0
        first, last = int(touched[0]) // scale, int(touched[-1]) // scale
        if first > 0 and last < length - 1:
            return max(start + window - 1 - first, last - start)
    return None


def _pools(layer: nn.Module) -> bool:
    """Whether a layer gives one value for a whole picture, as in channel attention."""
    return isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and layer.output_size in (1, (1, 1))


def _scale(module: nn.Module, side: int, device: str) -> int:
    """By how much a network in eval mode enlarges an image."""
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = _run(copy.deepcopy(module).eval().to(device), images.to(device))
    scale = int(output.shape[-1]) // side if output.ndim == 4 else 0
    _require_shape(output, images, scale)
    return scale


def _learning(module: nn.Module, side: int, device: str, scale: int | None) -> set[str]:
    """The names of the parameters that get a gradient; `scale` is None for a discriminator."""
    copied = copy.deepcopy(module).train().to(device)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(2):  # the second time for networks that choose their path at random
            images = torch.rand(2, 3, side, side, generator=generator).to(device)
            output = _run(copied, images)
            if scale is not None:
                _require_shape(output, images, scale)
            elif output.ndim == 0 or len(output) != len(images):
                raise TrialError(f"maps {tuple(images.shape)} to {tuple(output.shape)}; expected logits (N, ...)")
            if output.requires_grad:
                (output * torch.rand(output.shape, generator=generator).to(output)).sum().backward()  # type: ignore[no-untyped-call]
            if all(weights.grad is not None for weights in copied.parameters() if weights.requires_grad):
                break
    learning = {key for key, weights in copied.named_parameters() if weights.grad is not None}
    if not learning:
        raise TrialError("has no parameters that get a gradient; expected a network that can learn")
    return learning


def _run(module: nn.Module, images: Tensor) -> Tensor:
    side = images.shape[-1]
    try:
        output = module(images)
    except Exception as error:  # every network fails in its own way
        raise TrialError(f"fails on RGB images of {side} x {side}: {first_line(error)}") from error
    if not isinstance(output, Tensor):
        raise TrialError(f"returns a {type(output).__name__} for RGB images of {side} x {side}; expected a tensor")
    return output


def _require_shape(output: Tensor, images: Tensor, scale: int) -> None:
    number, _, height, width = images.shape
    if not scale or output.shape != (number, 3, scale * height, scale * width):
        raise TrialError(f"maps {tuple(images.shape)} to {tuple(output.shape)}; expected (N, 3, scale * H, scale * W)")


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
