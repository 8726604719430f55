"""One script per speed claim. Each measures the product beside its reference in the same run, and prints ratios.

Nothing here is a test: a ratio taken on a busy machine says little, and no build fails by it.
"""
