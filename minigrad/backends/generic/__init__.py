"""Plain versions of every kernel over a NumPy-like namespace: a new backend starts from them, a tuned one is tested on them."""
