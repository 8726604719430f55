"""The registry API that names models and versions by ids."""
