"""Purges what is cached about an entity when the entity changes, and says so."""
