"""Networks as ONNX graphs: loaded, computed on any backend, and rewritten to slide."""
