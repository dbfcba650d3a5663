"""Training pairs in an endless row: samples from worker processes, made into pairs on the device, mixed by the pool.

The random choices of a batch, or of a sample, follow from the seed and the sample's number alone.
"""

import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from hggt_data.errors import HggtError, WorkerError
from hggt_models.config.train import TrainConfig
from hggt_models.data.make_pairs import PairMaker, TrainingPairs
from hggt_models.data.pool import PairPool
from hggt_models.data.samples import Sample, SampleDataset, ShareSampler
from hggt_models.degradation.random_source import BatchSource, RandomSource
from hggt_models.runtime import Runtime, shielded_children


class PairLoader:
    """Gives one process of a run its pairs.

    Args:
        samples: by their number.
        config: of the run.
        runtime: this process.
        workers: processes that read pictures; 0 reads in this one.

    Attributes:
        pool: the pairs that wait.
        waited_s: how long the feed has waited for pictures, all in all.
    """

    def __init__(self, samples: SampleDataset, config: TrainConfig, runtime: Runtime, workers: int = 0) -> None:
        self._samples = samples
        self._config = config
        self._runtime = runtime
        self._workers = workers
        self._maker = PairMaker(config)
        self.pool = PairPool(config.pool_size // runtime.world)
        self.waited_s = 0.0
        self._batches: Iterator[Sample | Exception] | None = None
        self._fetched: list[Sample] = []

    def start(self, iteration: int) -> None:
        """Begin with the samples of this iteration."""
        config, runtime = self._config, self._runtime
        sampler = ShareSampler(
            config.batch_size,
            rank=runtime.rank,
            world=runtime.world,
            parts=config.accumulate,
            first_iteration=iteration,
        )
        loader: DataLoader[Sample | Exception] = DataLoader(
            _Batches(self._samples),
            sampler=sampler,
            batch_size=None,
            num_workers=self._workers,
            # A fork would copy the locks of this process's threads, and what CUDA has begun.
            multiprocessing_context="spawn" if self._workers else None,
            pin_memory=runtime.device.type == "cuda",
        )
        self._fetched.clear()
        with shielded_children():
            self._batches = iter(loader)

    def stop(self) -> None:
        """End the worker processes."""
        self._batches = None

    def fetch(self) -> None:
        """Wait for the pictures of one iteration, which changes nothing else; all processes call this together.

        Raises:
            ImageError, OSError: a picture cannot be used or read.
            WorkerError: a worker process was killed, or another process of the run cannot go on.
        """
        self._fetched += self._runtime.together(lambda: [self._read() for _ in range(self._config.accumulate)])

    def next(self) -> TrainingPairs:
        """The next part of this process's share of a batch; raises as `fetch`, if that was not called before."""
        batch = self._fetched.pop(0) if self._fetched else self._read()
        numbers: list[int] = batch["number"].tolist()
        device = self._runtime.device
        on_device = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        pairs = self._maker.make(on_device, self._sources(numbers))
        mixing = RandomSource.from_text(f"{self._config.seed}/pool/{numbers[0]}")
        return PairMaker.open(self.pool.exchange(pairs, mixing))

    def _read(self) -> Sample:
        assert self._batches is not None, "start() comes first"
        started = time.perf_counter()
        try:
            batch = next(self._batches)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise WorkerError(
                f"{str(error).splitlines()[0].rstrip(' .')}. Did memory run out? Run again with fewer --workers"
            ) from None
        self.waited_s += time.perf_counter() - started
        if isinstance(batch, Exception):
            raise batch
        return batch

    def _sources(self, numbers: list[int]) -> BatchSource | list[RandomSource]:
        """Of the degradation: the same whichever processes and parts share the samples of an iteration."""
        seed, device = self._config.seed, self._runtime.device
        samples = [RandomSource.from_text(f"{seed}/sample/{number}", device) for number in numbers]
        if self._config.draws == "per_sample":
            return samples
        iteration = numbers[0] // self._config.batch_size
        return BatchSource(RandomSource.from_text(f"{seed}/batch/{iteration}", device), samples)


class _Batches(Dataset[Sample | Exception]):
    """Stacked samples by a list of numbers; what is wrong with one comes as a value.

    Raised in a worker it would arrive as a text of many lines.
    """

    def __init__(self, samples: SampleDataset) -> None:
        self._samples = samples

    def __getitem__(self, numbers: list[int]) -> Sample | Exception:
        try:
            batch: Sample = default_collate([self._samples[number] for number in numbers])
        except (HggtError, OSError) as error:
            return error
        return batch


def redistribute_pools(pools: list[Mapping[str, Tensor]], runtime: Runtime) -> dict[str, Tensor]:
    """The part of the pairs that waited in other processes' pools that falls to this one, when there are others now."""
    names = pools[0] if pools else {}
    return {name: torch.cat([pool[name] for pool in pools])[runtime.rank :: runtime.world] for name in names}
