"""Compiled kernels: what follows a convolution in one pass over the memory, and convolutions on AMX's tiles."""
