"""Networks that run on a backend, node by node."""
