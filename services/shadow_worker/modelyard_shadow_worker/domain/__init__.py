"""The pure rules of shadow evaluation: what is replayed, with which inputs, and when two answers match."""
