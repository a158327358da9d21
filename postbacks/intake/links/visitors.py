"""Who opens a link without a person having tapped it: previews, prefetches and crawlers."""

import re
from collections.abc import Mapping
from typing import Final

_AHEAD: Final = ("HTTP_PURPOSE", "HTTP_SEC_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
_AHEAD_WORDS: Final = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
# A phone of the make Cubot is none, nor is the browser inside of Facebook's, Line's or Viber's app.
_BOTS: Final = re.compile(
    r"(?<!cu)bot(?:\b|_)|crawler|spider|facebookexternalhit|facebookcatalog|facebot"
    r"|^whatsapp/|slack-imgproxy|slackbot|twitterbot|telegrambot|linkedinbot|discordbot"
    r"|skypeuripreview|vkshare|pinterest/0|embedly|quora link preview|outbrain|nuzzel|bitlybot"
    r"|google-inspectiontool|google-read-aloud|googleother|mediapartners-google|apis-google"
    r"|bingpreview|yandex(?:images|metrika)|snap url preview|iframely|redditbot|mastodon/"
    r"|microsoftpreview|msteams|chrome-lighthouse",
    re.IGNORECASE,
)


def is_preview(method: str, meta: Mapping[str, object]) -> bool:
    """Tell whether a request looks ahead or looks at the link itself, so that nobody was there."""
    if method == "HEAD":
        return True
    return any(_AHEAD_WORDS.search(str(meta.get(name, ""))) for name in _AHEAD)


def is_bot(user_agent: str) -> bool:
    """Tell whether a program reads the link to show it in a chat, or to index it."""
    return _BOTS.search(user_agent[:1024]) is not None
