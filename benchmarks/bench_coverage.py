"""How often the 95 % intervals of `hggt-eval study` cover the truth, in simulated studies; 30 minutes.

    python benchmarks/bench_coverage.py [STUDIES]

Each picture and each person favours each method by a normal random effect, so that votes of one picture or one person
are not independent. The truth is what infinitely many pictures and people would vote.
"""

import sys
from unittest.mock import patch

import numpy as np
from machine import describe_machine

from hggt_eval.study.analysis import analyse
from hggt_eval.study.bootstrap import Scale, find_scale
from hggt_eval.study.votes import FloatArray
from tests.hggt_eval.study.simulated import METHODS, Simulation, find_truth, simulate, statistics

DESIGNS = {
    "pairs": Simulation(40, 20, 6, 0.5, 0.5),
    "pairs with ties": Simulation(40, 20, 6, 0.5, 0.5, tie=0.6),
    "everybody judges everything": Simulation(40, 20, 20, 0.8, 0.8),
    "pictures differ": Simulation(40, 20, 6, 1.0, 0.2),
    "people differ": Simulation(40, 20, 6, 0.2, 1.0),
    "nothing differs": Simulation(40, 20, 6, 0.0, 0.0),
    "100 pictures, 30 people": Simulation(100, 30, 5, 0.5, 0.5),
    "best of 3": Simulation(40, 20, 6, 0.5, 0.5, best_of=True),
    "20 pictures, 10 people": Simulation(20, 10, 5, 0.5, 0.5),
    "10 pictures, 5 people": Simulation(10, 5, 5, 0.5, 0.5),
}


def measure(design: Simulation, num_studies: int) -> str:
    """Coverage, and width relative to the spread of the estimates, of 8 statistics; and those of plain quantiles."""
    truth = find_truth(design)
    texts = []
    for plain in (False, True):
        with patch("hggt_eval.study.analysis.find_scale", _no_scale if plain else find_scale):
            found = [
                statistics(analyse(simulate(design, seed), METHODS[-1], 1_000, seed)) for seed in range(num_studies)
            ]
        values, low, high = np.moveaxis(np.array(found), -1, 0)
        covered = ((low <= truth) & (truth <= high)).mean(axis=0)
        width = (high - low).mean(axis=0) / (2 * 1.96 * values.std(axis=0))
        texts.append(
            f"{100 * covered.mean():5.1f} % ({100 * covered.min():.1f} to {100 * covered.max():.1f}), "
            f"width {width.mean():.2f}"
        )
    return "; plain quantiles ".join(texts)


def _no_scale(influence: FloatArray, crossed: object) -> Scale:
    ones = np.ones(influence.shape[1])
    return Scale(ones, ones, np.full_like(ones, np.inf))


if __name__ == "__main__":
    print(describe_machine())
    NUM = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    for name, one in DESIGNS.items():
        print(f"{name:30}{measure(one, NUM)}", flush=True)
