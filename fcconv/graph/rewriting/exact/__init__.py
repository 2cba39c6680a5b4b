"""Windows exactly: what they share in parts, and each by itself."""
