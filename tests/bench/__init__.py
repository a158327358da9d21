"""The benchmark: `make bench`, or `python -m tests.bench`. It measures; it is no test."""
