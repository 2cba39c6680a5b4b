"""What the sliding rules of operators share."""
