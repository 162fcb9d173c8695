"""The engine for processors: numba's kernels, a wave of a plane at a time, groups of planes in threads.

In coding order: `predict`, `blend`, `features` (with `repeats`), `network`, `mixture`, `cdf`, `coder`, `learn`, `fit`.
`walk` leads through them, `state` holds what they remember, in `pictures`; `tiles` are small products of matrices.
"""
