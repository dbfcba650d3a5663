"""How often the 95 % intervals of `hggt_eval` contain the true mean, and plain bootstrap percentiles beside them.

python benchmarks/bench_intervals.py [--sets 10000]

Each simulated set has 1 to 5 groups per source picture. A score is the sum of an effect that all groups of a picture
share, normal or log-normal (skewed as scores of hard pictures may be), and of normal noise with half of the effect's
deviation. The last column is the share of sets without a difference whose p is at most 0.05.
"""

import argparse
import math

import numpy as np
from numpy.typing import NDArray

from hggt_eval.scores.resampling import bootstrap_means, mean_interval, sign_flip_p_value

NUM_RESAMPLES = 2_000
PER_BLOCK = 1_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=10_000)
    num_sets = parser.parse_args().sets
    print("| source pictures | percentiles | hggt | percentiles, skewed | hggt, skewed | p <= 0.05 |")
    print("|--:|--:|--:|--:|--:|--:|")
    for num_pictures in (3, 5, 8, 20, 100):
        shares = [share for skewed in (False, True) for share in coverage(num_pictures, num_sets, skewed)]
        cells = [f"{share:.3f}" for share in (*shares, level(num_pictures, num_sets))]
        print(f"| {num_pictures} | {' | '.join(cells)} |", flush=True)


def coverage(num_pictures: int, num_sets: int, skewed: bool) -> tuple[float, float]:
    """The share of sets whose plain percentiles, and whose interval, contain the true mean."""
    covered = np.zeros(2)
    for block in range(num_sets // PER_BLOCK):
        sums, counts = simulate(num_pictures, skewed, seed=block)
        means = bootstrap_means(sums, counts, NUM_RESAMPLES, seed=block)
        plain = np.quantile(means, [0.025, 0.975], axis=0)
        ours = mean_interval(sums, counts, NUM_RESAMPLES, seed=block)
        covered += [((low <= 0) & (high >= 0)).mean() for low, high in (plain, ours)]
    plain_share, our_share = covered / (num_sets // PER_BLOCK)
    return float(plain_share), float(our_share)


def level(num_pictures: int, num_sets: int) -> float:
    """The share of sets without a difference that the sign-flip test finds significant."""
    rows = [row for block in range(num_sets // PER_BLOCK) for row in simulate(num_pictures, False, seed=block)[0]]
    return float(np.mean([sign_flip_p_value(row, NUM_RESAMPLES) <= 0.05 for row in rows]))


def simulate(num_pictures: int, skewed: bool, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums over the groups of each source picture and their number, both (PER_BLOCK, num_pictures); true mean 0."""
    rng = np.random.default_rng(seed)
    shape = (PER_BLOCK, num_pictures)
    counts = rng.integers(1, 6, shape).astype(np.float64)
    effects = rng.lognormal(size=shape) - math.exp(0.5) if skewed else rng.normal(size=shape)
    deviation = math.sqrt(math.e**2 - math.e) if skewed else 1.0
    return counts * effects + rng.normal(0, deviation / 2, shape) * np.sqrt(counts), counts


if __name__ == "__main__":
    main()
