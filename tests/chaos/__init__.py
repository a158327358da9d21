"""The product while its processes are killed at random: `make chaos`."""
