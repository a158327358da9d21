"""What people do with a rule: save, preview, test, dry-run, explain, restore versions."""
