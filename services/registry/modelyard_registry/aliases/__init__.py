"""Aliases: movable names that point at one version each, moved by compare-and-set."""
