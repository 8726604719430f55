"""How endpoints are asked, one module per protocol."""
