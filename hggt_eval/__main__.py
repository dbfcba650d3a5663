"""For several processes: torchrun --nproc-per-node N -m hggt_eval --restored DIR ..."""

from hggt_eval.cli import main

main(prog_name="hggt-eval")
