import errno

import pytest
import torch

from hggt_models.memory import ran_out_of_memory, ran_out_of_shared_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("HSA_STATUS_ERROR_OUT_OF_RESOURCES: The runtime failed to allocate the necessary resources."),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("ncclUnhandledCudaError: Call failed.\nLast error:\nFailed to CUDA calloc async 608 bytes"),
        RuntimeError("CUDA ran out of memory outside PyTorch's allocator."),
        RuntimeError("CUFFT_ALLOC_FAILED"),
        RuntimeError("HIP error: hipErrorOutOfMemory"),
        RuntimeError("miopenStatusAllocFailed"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.88 GB)"),
        RuntimeError("Invalid buffer size: 24.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("std::bad_alloc"),
    ],
    ids=str,
)
def test_errors_that_mean_out_of_memory(error: Exception) -> None:
    assert ran_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 cannot be multiplied"), OSError(errno.ENOSPC, "No space left on device")],
)
def test_other_errors_do_not(error: Exception) -> None:
    assert not ran_out_of_memory(error)
    assert not ran_out_of_shared_memory(error)


def test_full_shared_memory_is_recognised() -> None:
    text = "Error while creating shared memory segment /dev/shm/nccl-a1B2 (size 9637888), error: No space left (28)"
    assert ran_out_of_shared_memory(RuntimeError(f"NCCL error: ncclSystemError\nLast error:\n{text}"))
    assert not ran_out_of_memory(RuntimeError(text))
