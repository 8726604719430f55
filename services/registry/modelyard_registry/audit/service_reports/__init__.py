"""What other services report about access: refusals of known callers and purges by hand, put on record."""
