"""Files for stores that speak the API of Amazon S3, signed by us and sent through the way out."""
