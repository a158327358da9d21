"""The words of touchpoints that intake writes and the waterfall reads."""

CLICK = "click"
IMPRESSION = "impression"
LINK = "link"
SERVER = "server"
CLAIM = "claim"

# What a claim's `params` say: whose it is, and that the network didn't tell when the ad was seen.
CLAIMED_BY = "claimed_by"
TIME_IS_UNKNOWN = "time_is_unknown"
ADSERVICES = "adservices"
