"""The HTTP interfaces are what their OpenAPI documents say."""
