"""The router's pure rules: no I/O, no clock."""
