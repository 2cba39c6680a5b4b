"""Networks as files: read, checked, folded and written."""
