"""What a team writes in a week with the same packages: the reference that `make bench` runs.

It is meant to be decent work: keys, a table of rules, macros, a unique `event_id`, one transaction
per request, kept database connections, an index where it is needed. What makes it slow is what
every tutorial shows: a row at a time, a task per postback, a new connection per request.
"""
