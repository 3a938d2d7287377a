"""The explorer: a page on which one clicks through a trained network, down to the arithmetic of one pixel."""
