"""Does training on judged candidates do in small what it is meant to do? Five ways to train from one start.

python scripts/small_experiment.py OUTPUT --pictures DIR [--weights-dir DIR]

Needs a dozen photographs or more, and takes under 15 minutes on two cores. The candidates and the people are simulated
(`simulated_groups.py`), so this shows how the losses behave, and nothing about real judgements. The weight of each
preference loss is chosen on held-out pictures; others are scored. docs/training.md has a result and what it means.
"""

import argparse
import multiprocessing
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from simulated_groups import detailed_patches, read_photograph, write_group

from hggt_data.io.files import write_text
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.tree.hggt_folders import official_test, official_train
from hggt_eval import score
from hggt_models import TrainingRun, degrade, load_config, open_runtime, train_run, upscale
from hggt_models.data.training_data import open_training_data
from hggt_models.networks.checkpoint import load_checkpoint
from hggt_models.training.loss_meter import DivergedError

Result = TypeVar("Result")

PREFERENCE = ("target=positive_negative", "loss.negative={weight}")
# What differs between the methods, and the weights to choose from.
METHODS: Mapping[str, tuple[Sequence[str], Sequence[float]]] = {
    "original": (["target=original"], ()),
    "positive": (["target=positive"], ()),
    "positive+negative": (PREFERENCE, (3, 30, 300)),
    "triplet": ((*PREFERENCE, "loss.negative_form=triplet"), (0.3, 1, 3)),
    "dpo": ((*PREFERENCE, "loss.negative_form=dpo"), (0.03, 0.1, 0.3)),
}
BASELINE = "original"
CRITERION = ("positive_margin", "lpips")  # a label measure; the weight with the highest is chosen
COMMON = (
    *("batch_size=4", "pool_size=0", "milestones=[]", "loss.perceptual=0", "validation.every=0"),
    *("validation.pictures=0", "checkpoint.every=1000000", "log.tensorboard=false"),
)
ENHANCER = (
    *(*COMMON, "generator.num_feat=24", "generator.num_group=2", "generator.num_block=3", "generator.squeeze_factor=8"),
    *("source_px=96", "crop_px=48", "loss.adversarial=0", "learning_rate=1e-3", "iterations=400"),
)
SR = (
    *(*COMMON, "generator.num_block=2", "generator.num_feat=24", "generator.num_grow_ch=12", "learning_rate=5e-4"),
    *("source_px=96", "crop_px=64", "ema_decay=0.98", "discriminator.num_feat=8"),
)


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        name: Its folder in `runs/`.
        recipe: Recipe that it changes.
        data: Folder to learn from.
        settings: Changes of the recipe.
        init: Run to start from.
    """

    name: str
    recipe: str
    data: Path
    settings: tuple[str, ...]
    init: str | None = None


def main() -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path, help="new folder for data, runs and scores")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--weights-dir", type=Path, help="folder of the weights of LPIPS")
    parser.add_argument("--iterations", type=int, default=200, help="iterations of each run [default: %(default)s]")
    parser.add_argument("--start-iterations", type=int, default=800, help="of the start [default: %(default)s]")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method [default: %(default)s]")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, on a core each [default: %(default)s]")
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"{arguments.output} exists; choose a new folder")
    processes = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        run_experiment(Workplace(arguments.output.absolute(), pool, arguments.weights_dir), arguments)


def run_experiment(workplace: "Workplace", arguments: argparse.Namespace) -> None:
    """All steps, from photographs to the page."""
    pictures = workplace.copy_pictures(arguments.pictures)
    learned, held_out, scored = split_pictures(pictures)
    workplace.say(
        f"pictures: {len(learned)} to learn from, {len(held_out)} to choose weights on, {len(scored)} to score"
    )
    photographs = workplace.photographs("learned", learned)
    beginning = Run("start", "rrdb-psnr", photographs, (*SR, f"iterations={arguments.start_iterations}"))
    enhancers = ["enhance-01", "enhance-02"]
    workplace.train([beginning, *(Run(name, name, photographs, ENHANCER) for name in enhancers)])
    train, tune, test = (
        workplace.make_groups(kind, names, enhancers)
        for kind, names in (("train", learned), ("tune", held_out), ("test", scored))
    )

    def run_of(method: str, weight: float | None, seed: int) -> Run:
        settings = [setting.format(weight=weight) for setting in METHODS[method][0]]
        name = f"{method}{'' if weight is None else f'-{weight:g}'}@{seed}"
        last = (f"iterations={arguments.iterations}", f"seed={seed}")
        return Run(name, "rrdb-gan-original", train, (*SR, *settings, *last), beginning.name)

    trials = {(method, weight): run_of(method, weight, 0) for method, (_, ws) in METHODS.items() for weight in ws}
    done = workplace.train(trials.values())
    found = workplace.score(tune, "tuning", {f"{m}-{w:g}": run for (m, w), run in trials.items() if run in done})
    runs: dict[str, Run] = {}
    for method, (_, weights) in METHODS.items():
        measured = {weight: found[f"{method}-{weight:g}"] for weight in weights if trials[method, weight] in done}
        best = max(measured, key=lambda weight: measured[weight], default=None)
        if weights:
            values = ", ".join(f"{weight:g} has {value:.4f}" for weight, value in measured.items())
            workplace.say(f"{method}: weight {best or 'none, all runs diverged'}; {' '.join(CRITERION)}: {values}")
        if measured or not weights:
            runs |= {f"{method}@{seed}": run_of(method, best, seed) for seed in range(arguments.seeds)}
    done |= workplace.train(run for run in runs.values() if run not in done)
    finished = {name: run for name, run in runs.items() if run in done}
    workplace.score(test, "scores", {"start": beginning, **finished}, BASELINE)
    workplace.say(f"done: see {arguments.output / 'scores' / 'report.html'} and table.md beside it")


class Workplace:
    """The folder of the experiment, and processes that train and restore there, each on one core."""

    def __init__(self, folder: Path, pool: Executor, weights_dir: Path | None) -> None:
        self._folder = folder
        self._pool = pool
        self._weights_dir = weights_dir
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        print(f"{time.monotonic() - self._started:5.0f} s  {text}", flush=True)

    def copy_pictures(self, source: Path) -> list[str]:
        """Reduce all photographs into `photographs/`; returns their new names."""
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        names = {f"photo{number:02d}": path for number, path in enumerate(files, 1)}
        for name, path in names.items():
            self._write(Path("photographs", f"{name}.png"), read_photograph(path))
        write_text(self._folder / "sources.csv", "image,file\n" + "".join(f"{n},{p.name}\n" for n, p in names.items()))
        return list(names)

    def photographs(self, kind: str, names: Iterable[str]) -> Path:
        """A folder with these photographs only."""
        for name in names:
            self._write(Path(kind, f"{name}.png"), self._photograph(name))
        return self._folder / kind

    def make_groups(self, kind: str, names: Sequence[str], enhancers: Sequence[str]) -> Path:
        """Write the tree of groups cut from these photographs, with LR images; returns it."""
        originals = self._folder / "originals" / kind
        for name in names:
            for patch, original in detailed_patches(name, self._photograph(name)):
                self._write(Path("originals", kind, f"{patch}.png"), original)
        enhanced = self._folder / "enhanced" / kind
        self._all(upscale, ((self._run(name), originals, enhanced / name) for name in enhancers))
        paths = sorted(originals.iterdir())
        tree = self._folder / kind
        section = (official_train if kind == "train" else official_test)(tree, len(paths))
        for path in paths:
            write_group(
                section, path.stem, read_pixels(path), [read_pixels(enhanced / e / path.name) for e in enhancers]
            )
        if kind != "train" and section.lr:
            degrade(originals, section.lr, seed=0)
        return tree

    def train(self, runs: Iterable[Run]) -> set[Run]:
        """Train several networks, some at a time; returns the runs that did not diverge."""
        runs = list(runs)
        ends = self._all(train_one, ((run, self._run(run.name), run.init and self._run(run.init)) for run in runs))
        for run, end in zip(runs, ends, strict=True):
            self.say(f"{run.name}: {end or 'trained'}")
        return {run for run, end in zip(runs, ends, strict=True) if end is None}

    def score(self, tree: Path, name: str, runs: Mapping[str, Run], baseline: str | None = None) -> dict[str, float]:
        """Restore the LR images of a tree with all networks and score them; method -> the criterion."""
        folder = self._folder / name
        restored = {method: folder / "restored" / method for method in runs}
        [lr] = tree.glob("Blind_Degradation_Benchmark_LQ/*/Blind_LR")
        self._all(upscale, ((self._run(run.name), lr, restored[method]) for method, run in runs.items()))
        scored = score(
            restored, dataset=tree, metrics="psnr,ssim,lpips", label_measures=True, weights_dir=self._weights_dir
        )
        scored.report(folder, baseline=baseline)
        measure, metric = CRITERION
        of_methods = scored.evaluation.label_measures
        return {method: getattr(measures, measure)[metric].value for method, measures in of_methods.items()}

    def _all(self, work: Callable[..., Result], jobs: Iterable[Sequence[object]]) -> list[Result]:
        return [done.result() for done in [self._pool.submit(work, *job) for job in jobs]]

    def _run(self, name: str) -> Path:
        return self._folder / "runs" / name

    def _photograph(self, name: str) -> Pixels:
        return read_pixels(self._folder / "photographs" / f"{name}.png")

    def _write(self, path: Path, pixels: Pixels) -> None:
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_png(self._folder / path, pixels)


def train_one(run: Run, output: Path, init: Path | None) -> str | None:
    """Train one network in this process; what it reports goes to `OUTPUT.log`. Returns how it diverged, if it did."""
    config = load_config(run.recipe, run.settings)
    data = open_training_data(run.data, config)
    start = load_checkpoint(init) if init else None
    output.parent.mkdir(parents=True, exist_ok=True)
    log = output.with_name(f"{output.name}.log").open("w")
    with log, redirect_stderr(log), redirect_stdout(log), open_runtime("cpu") as runtime:
        try:
            train_run(TrainingRun(recipe=run.recipe, config=config, data=data, output=output, init=start), runtime)
        except DivergedError as error:
            return f"diverged: {error}".partition(";")[0]
    return None


def split_pictures(names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Half of the pictures to learn from, a sixth to choose weights on, the rest to score."""
    shuffled = random.Random(0).sample(names, len(names))
    half, most = len(names) // 2, len(names) * 2 // 3
    return sorted(shuffled[:half]), sorted(shuffled[half:most]), sorted(shuffled[most:])


if __name__ == "__main__":
    main()
