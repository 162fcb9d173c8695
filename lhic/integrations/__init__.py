"""lhic inside libraries of others: one module for each of them, imported by whoever wants it."""
