"""What a copy says beside its signature: conversion values and country. Plain Python."""

from collections.abc import Mapping

from postbacks.intake.skadnetwork import wild

HIGHEST_FINE_VALUE = 63
COARSE_VALUES = ("low", "medium", "high")


def fine_value(body: Mapping[str, object]) -> int | None:
    """Return the conversion value of 6 bits, or None."""
    return wild.whole(body.get("conversion-value"), most=HIGHEST_FINE_VALUE)


def coarse_value(body: Mapping[str, object]) -> str:
    """Return `low`, `medium` or `high`, or nothing."""
    said = wild.text(body.get("coarse-conversion-value")).lower()
    return said if said in COARSE_VALUES else ""


def country(body: Mapping[str, object]) -> str:
    """Return the country's code of two letters, or nothing."""
    said = wild.text(body.get("country-code")).upper()
    return said if len(said) == 2 and said.isascii() and said.isalpha() else ""
