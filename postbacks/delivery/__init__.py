"""⑥ Owed, ⑦ claimed and sent, ⑧ logged."""
