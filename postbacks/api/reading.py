"""Reads JSON bodies of the management API as strictly as the SDK's door does."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal

from rest_framework import exceptions
from rest_framework.parsers import JSONParser

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # serializers see to values, nobody to keys


class StrictJsonParser(JSONParser):
    """Takes JSON in which every key stands once; decimals keep all their digits."""

    def parse(
        self,
        stream: object,
        media_type: str | None = None,
        parser_context: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """Return the body's data. Raises 400."""
        request = (parser_context or {})["request"]
        try:
            text = request._request.body.decode()  # type: ignore[attr-defined]  # REST framework's
            return json.loads(  # type: ignore[no-any-return]  # serializers look closer
                text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique
            )
        except UnicodeDecodeError:
            raise exceptions.ParseError("The body is not valid UTF-8.") from None
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise exceptions.ParseError(f"The body is not valid JSON: {error}") from None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if _UNSTORABLE.search("".join(found)):
        raise ValueError("a key holds a character that is no text")
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key “{twice}” stands twice in one object; send it once")
    return found
