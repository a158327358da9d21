"""⑨ What people look at: figures of the last day, and queries of the logs."""
