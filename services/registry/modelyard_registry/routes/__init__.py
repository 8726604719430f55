"""Routing documents: what the router knows about a project and model type, published whole."""
