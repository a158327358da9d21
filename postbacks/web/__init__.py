"""What serves every page: middleware, headers, request bodies and the theme."""
