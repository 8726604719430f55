"""Finding registered models and versions: what a list may be filtered and sorted by, and how it pages."""
