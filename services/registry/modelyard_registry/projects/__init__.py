"""Projects: the spaces that own names. One comes into being by being created, never by being mentioned."""
