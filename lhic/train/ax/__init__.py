"""Training of lhic-ax: observations of cubes, a float network that rounds as the integer one does, the loop."""

from lhic.train.ax.loop import train

__all__ = ["train"]
