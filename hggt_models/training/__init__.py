"""The training loop, and the files and logs of a run."""
