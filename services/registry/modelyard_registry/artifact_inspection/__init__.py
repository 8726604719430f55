"""What an artifact consists of, and which of its parts can run code when they are loaded.

Files are read and measured here, never loaded: no pickle is executed, no model built, nothing is written.
"""
