"""What computes a whole network: the backends and onnxruntime, as callables on arrays."""
