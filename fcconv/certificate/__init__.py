"""What is proved of a rewritten network, and how."""
