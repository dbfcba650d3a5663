"""Endless training pairs: samples from worker processes are made into pairs on the device and mixed by the pool.

The random choices of a batch, or of a sample, follow from the seed and the sample's number alone.
"""

import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from hggt_models.config.train import TrainConfig
from hggt_models.data.make_pairs import PairMaker, TrainingPairs
from hggt_models.data.pool import PairPool
from hggt_models.data.readers import Readers, read_batch
from hggt_models.data.samples import Sample, SampleDataset, ShareSampler
from hggt_models.degradation.random_source import BatchSource, RandomSource
from hggt_models.runtime import Runtime


class PairLoader:
    """Loads the training pairs of one process; `workers` processes read pictures, or this one if there are 0.

    Attributes:
        pool: Mixes the pairs of several batches.
        waited_s: Total time spent waiting for pictures.
    """

    def __init__(self, samples: SampleDataset, config: TrainConfig, runtime: Runtime, workers: int = 0) -> None:
        self._samples = samples
        self._config = config
        self._runtime = runtime
        self._workers = workers
        self._maker = PairMaker(config)
        self.pool = PairPool(config.pool_size // runtime.world)
        self.waited_s = 0.0
        self._batches: Iterator[Sample] | None = None
        self._fetched: list[Sample] = []

    def start(self, iteration: int) -> None:
        """Start with the samples of this iteration."""
        config, runtime = self._config, self._runtime
        sampler = ShareSampler(
            config.batch_size,
            rank=runtime.rank,
            world=runtime.world,
            parts=config.accumulate,
            first_iteration=iteration,
        )
        self.stop()
        self._fetched.clear()
        if self._workers:
            pin_memory = runtime.device.type == "cuda"
            self._batches = Readers(self._samples, sampler, self._workers, pin_memory=pin_memory)
        else:
            self._batches = (read_batch(self._samples, numbers) for numbers in sampler)

    def stop(self) -> None:
        """Stop the worker processes."""
        if isinstance(self._batches, Readers):
            self._batches.close()
        self._batches = None

    def fetch(self) -> None:
        """Wait for the pictures of one iteration; all processes call this together.

        Any error occurs here, before the iteration has changed anything.
        """
        self._fetched += self._runtime.together(lambda: [self._read() for _ in range(self._config.accumulate)])

    def next(self) -> TrainingPairs:
        """The pairs of the next part of this process's share of a batch."""
        batch = self._fetched.pop(0) if self._fetched else self._read()
        numbers: list[int] = batch["number"].tolist()
        device = self._runtime.device
        on_device = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        pairs = self._maker.make(on_device, self._sources(numbers))
        mixing = RandomSource.from_text(f"{self._config.seed}/pool/{numbers[0]}")
        return PairMaker.open(self.pool.exchange(pairs, mixing))

    def first(self, most: int = 1) -> TrainingPairs:
        """The pairs of the first `most` samples, or of a part of a batch if that has fewer; the pool stays the same."""
        part = self._config.batch_size // (self._runtime.world * self._config.accumulate)
        numbers = list(range(min(most, part)))
        batch = read_batch(self._samples, numbers)
        on_device = {name: value.to(self._runtime.device) for name, value in batch.items()}
        return PairMaker.open(self._maker.make(on_device, self._sources(numbers)))

    def _read(self) -> Sample:
        assert self._batches is not None, "call start() first"
        started = time.perf_counter()
        batch = next(self._batches)
        self.waited_s += time.perf_counter() - started
        return batch

    def _sources(self, numbers: list[int]) -> BatchSource | list[RandomSource]:
        """Random sources of the degradation, which do not depend on how processes and parts share an iteration."""
        seed, device = self._config.seed, self._runtime.device
        samples = [RandomSource.from_text(f"{seed}/sample/{number}", device) for number in numbers]
        if self._config.draws == "per_sample":
            return samples
        iteration = numbers[0] // self._config.batch_size
        return BatchSource(RandomSource.from_text(f"{seed}/batch/{iteration}", device), samples)


def redistribute_pools(pools: list[Mapping[str, Tensor]], runtime: Runtime) -> dict[str, Tensor]:
    """This process's part of the pools that another number of processes has saved."""
    names = pools[0] if pools else {}
    return {name: torch.cat([pool[name] for pool in pools])[runtime.rank :: runtime.world] for name in names}
