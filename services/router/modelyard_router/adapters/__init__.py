"""What the router asks: model endpoints, feature sources and the prediction cache, one file each."""
