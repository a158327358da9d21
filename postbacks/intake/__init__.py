"""② Intake: parse, check, deduplicate and store all that is reported."""
