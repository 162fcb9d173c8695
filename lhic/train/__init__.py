"""Training: configuration, tiles, loss, loop, and the record of a run."""

from lhic.extras import needs

with needs("train", "training"):
    from lhic.train.loop import TrainResult, train
    from lhic.train.run import run

__all__ = ["TrainResult", "run", "train"]
