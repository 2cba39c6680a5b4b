"""Images of any size and format, read by region."""
