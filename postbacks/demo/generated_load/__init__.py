"""A database as large as some years of use would make it, to see how pages and searches hold."""
