"""What serves every page: middleware, headers, uploads and the theme."""
