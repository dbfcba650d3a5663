"""`python -m hggt_models`, which `torchrun -m hggt_models` needs."""

from hggt_models.cli import main

main()
