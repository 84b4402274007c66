"""Plain versions of every kernel over a NumPy-like namespace: what a new backend starts from, and the oracle of the tuned ones."""
