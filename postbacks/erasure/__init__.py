"""Forgets devices: what identifies them is emptied; rows, times, outcomes and money stay.

`requests` takes what somebody asks for, `device` finds all that belongs to a device, `emptying`
empties it in batches, and `work` does so in the background until nothing is left.
"""
