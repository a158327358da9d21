"""⑥ Enqueue, ⑦ claim and send, ⑧ log."""
