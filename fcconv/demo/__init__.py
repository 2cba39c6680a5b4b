"""A face classifier slid over a photo: the package's main job on real input."""
