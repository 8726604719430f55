"""The registry API that names a model `credit-approval` and its version `v1.0.0`."""
