"""Training: configuration, tiles, loss, loop, and the record of a run."""

from lhic.train.loop import TrainResult, run, train

__all__ = ["TrainResult", "run", "train"]
