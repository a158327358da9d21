"""A database as large as months of use would make it, to see how pages and searches hold."""
