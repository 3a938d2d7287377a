"""Training records as TensorBoard events."""
