"""A finished network with its preprocessing, in the runtimes that answer fastest."""
