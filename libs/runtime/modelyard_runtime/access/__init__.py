"""Who calls, and what they may do: tokens, identity providers, principals, permissions, and refusals on record."""
