"""Training runs that are reported by events become model versions."""
