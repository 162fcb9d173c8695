"""Samples that no family codes - floats, 64-bit integers, booleans - as integers that families do, and back.

`maps` says how one sample becomes an integer, `plan` which map each band has and how a stream says so, `steps` finds
a step in floats, `find` the plan of a cube, and `model` puts all of it before a model.  Format: docs/format_values.md.
"""
