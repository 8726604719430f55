"""Artifacts: the bytes of model versions, stored under the digest that proves them; never unpickled."""
