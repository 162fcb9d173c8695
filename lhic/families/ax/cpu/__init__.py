"""The engine for processors: numba's kernels, a wave of a plane at a time, groups of planes in threads.

In coding order: `predict`, `blend`, `features` (with `repeats`), `network`, `mixture`, `cdf`, `coder`, `learn`, `fit`.
`walk` leads through them; `walk_alone`, with the kernels of `alone`, where one expert predicts and the network says the
same everywhere. `state` holds what they remember, in `pictures`; `tiles` are small products of matrices.
"""
