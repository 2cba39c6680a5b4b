"""How fast the layers are: what is timed, against what, and the report of it."""
