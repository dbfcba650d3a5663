"""Train on a dataset on the Hub in two stages: first with positives, then with positives and negatives.

python scripts/train_from_hub.py ORG/NAME --revision TAG --output runs [--init WEIGHTS]
torchrun --nproc-per-node 4 scripts/train_from_hub.py ORG/NAME --revision TAG --output runs

An example of the library, to copy and change. After an interruption, the same command resumes. With --small it takes a
minute on a CPU, with any dataset whose patches have at least 128 px.
"""

import argparse
import shlex
import sys
from pathlib import Path

from hggt_data.errors import HggtError
from hggt_data.hub.download import fetch_dataset
from hggt_data.io.workers import default_workers
from hggt_models.config.recipes import load_config
from hggt_models.data.training_data import open_training_data
from hggt_models.networks.checkpoint import load_checkpoint
from hggt_models.runtime import open_runtime
from hggt_models.training.prepare import TrainingRun
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.trainer import train_run

# Recipes and changes to them, as in `hggt-models train --set`; these are the published values. A stage starts from the
# weights of the previous one. The published runs all start from the weights of rrdb-psnr, which --init loads.
STAGES = {
    "rrdb-gan-positive": ["iterations=300_000"],
    "rrdb-gan-positive-negative": ["iterations=300_000", "loss.negative=300"],
}
# For a quick test; the networks learn nothing.
SMALL = [
    *("generator.num_block=1", "generator.num_feat=8", "generator.num_grow_ch=4", "discriminator.num_feat=8"),
    *("source_px=128", "crop_px=64", "batch_size=4", "pool_size=8", "loss.perceptual=0"),
    *("iterations=20", "log.every=5", "checkpoint.every=10"),
]


def main() -> None:
    """Train all stages, and print the next commands."""
    arguments = parse_arguments()
    # All stages learn from the same commit, after which this folder of the Hub's cache is named.
    dataset = fetch_dataset(arguments.dataset, arguments.revision)
    start = load_checkpoint(arguments.init) if arguments.init else None
    with open_runtime() as runtime:
        for recipe, changes in STAGES.items():
            config = load_config(recipe, [*changes, *(SMALL if arguments.small else []), *arguments.set])
            output = arguments.output / recipe
            run = TrainingRun(
                recipe=recipe,
                config=config,
                data=open_training_data(arguments.dataset, config, dataset.name, RunFolder(output).read_resume_state()),
                output=output,
                init=start,
                workers=arguments.workers,
            )
            signals = train_run(run, runtime)
            if signals.received:  # everything needed to resume was saved
                sys.exit(signals.exit_code)
            start = load_checkpoint(run.output)
            if runtime.leads:
                print(f"{recipe}: {start.path}")
        if runtime.leads:
            print_next_commands(arguments, dataset, output)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", metavar="ORG/NAME")
    parser.add_argument("--revision", metavar="TAG", help="tag, branch or commit on the Hub; default main")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder for the stages' folders")
    parser.add_argument("--init", metavar="WEIGHTS", help="initial network: a file, the folder of a run, or ORG/NAME")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of all stages; repeatable"
    )
    parser.add_argument("--small", action="store_true", help="tiny network and few iterations, for a quick test")
    parser.add_argument(
        "--workers", type=int, default=default_workers(), metavar="N", help="reading processes per device"
    )
    return parser.parse_args()


def print_next_commands(arguments: argparse.Namespace, dataset: Path, run: Path) -> None:
    """Print the commands that restore and score the test pictures of the dataset, and publish the network."""
    restored = arguments.output / "restored"
    organisation = arguments.dataset.split("/")[0]
    data = [arguments.dataset, "--revision", dataset.name]
    print("Next:")
    for command in (
        ["hggt-models", "upscale", "--weights", run, "--data", *data, "--output", restored],
        ["hggt-eval", "--restored", restored, "--dataset", *data],
        ["hggt-models", "push", run, f"{organisation}/{run.name}"],
    ):
        print(f"  {shlex.join(map(str, command))}")


if __name__ == "__main__":
    try:
        main()
    except HggtError as error:
        sys.exit(f"Error: {error}")
