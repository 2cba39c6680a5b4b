"""Functions of a patch that become functions of the image; needs JAX."""
