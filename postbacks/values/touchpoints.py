"""The words of touchpoints that intake writes and attribution reads."""

CLICK = "click"
IMPRESSION = "impression"
LINK = "link"
SERVER = "server"
CLAIM = "claim"

LONGEST_CLICK_ID = 2_048  # characters; a network's id is never cut

VALID_SIGNATURE = "valid"  # the state of a signature that proves who sent a touchpoint
TOO_MANY = "too_many"  # why a touchpoint is refused whose sender sends too many

# Keys of a claim's `params`: who claims it, and that the network keeps the ad's time to itself.
CLAIMED_BY = "claimed_by"
TIME_IS_UNKNOWN = "time_is_unknown"
ADSERVICES = "adservices"

# A key of a touchpoint's `params`: macros and words in place of ids that were left out of them.
LEFT_OUT = "left_out"
