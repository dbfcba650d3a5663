"""Recognises that memory ran out: of a device or of the machine, whichever library reports it."""

import errno

import torch

from hggt_data.errors import HggtError

# Parts of messages, in lower case and with spaces for underscores. Only Python and the allocators of CUDA and HIP raise
# errors of a special class.
_WORDS = (
    "out of memory",  # CUDA, HIP, MPS, XPU
    "outofmemory",  # HIP and MPS: hipErrorOutOfMemory, kIOGPUCommandBufferCallbackErrorOutOfMemory
    "errormemoryallocation",  # cudaErrorMemoryAllocation
    "alloc failed",  # cuBLAS, cuSOLVER, cuFFT, hipBLAS, older cuDNN
    "allocation failed",  # cuDNN 9, of the device or the host
    "statusallocfailed",  # MIOpen
    "rocblas status memory error",
    "status not initialized",  # cuBLAS, cuDNN, hipBLAS: no memory for the handle
    "status error out of resources",  # HSA, below HIP
    "unable to find an engine to execute",  # cuDNN: no algorithm whose workspace fits
    "failed to cuda ",  # NCCL: "Failed to CUDA calloc async 608 bytes"
    "invalid buffer size",  # MPS
    "allocate memory",  # PyTorch on the CPU, the system, oneDNN
    "not enough memory",  # PyTorch on the CPU
    "bad alloc",  # C++
)
_SHARED_WORDS = ("/dev/shm", "shared memory segment", "shared memory object")


class DeviceMemoryError(HggtError, MemoryError):
    """Memory of the device, or of the machine, ran out."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of a device or of the machine ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _mentions(error, _WORDS)


def ran_out_of_shared_memory(error: BaseException) -> bool:
    """Whether an error is about memory that processes share, which is limited to 64 MB in a container by default."""
    return isinstance(error, RuntimeError | OSError) and _mentions(error, _SHARED_WORDS)


def _mentions(error: BaseException, words: tuple[str, ...]) -> bool:
    text = str(error).lower().replace("_", " ")
    return any(word in text for word in words)
