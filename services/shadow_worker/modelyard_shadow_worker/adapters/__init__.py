"""Asks endpoints; one module for each protocol."""
