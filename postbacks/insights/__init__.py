"""⑨ Figures and logs that people read."""
