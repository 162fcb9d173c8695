"""lhic inside libraries of others: one module for each of them.

Nothing here is imported by `import lhic`: libraries find these modules through the entry points of pyproject.toml, or
whoever wants one imports it.
"""
