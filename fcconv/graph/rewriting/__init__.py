"""Networks rewritten: slid over images, windows exactly, dense layers as 1x1 convolutions."""
