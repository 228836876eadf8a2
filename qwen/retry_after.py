"""Read Retry-After of an HTTP answer. Pure; must not know the service, nor the clock of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

RETRY_AFTER_MAX_SECONDS = 300.0

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that Retry-After names (RFC 9110, 10.2.3), 0 to 300 seconds; None without one that can be read.

    A date is measured against the same answer's Date: the service's clock is never compared with this machine's.
    """
    text = find_header(headers, "retry-after")
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", text):
        return min(float(text), RETRY_AFTER_MAX_SECONDS)
    until, now = _http_date(text), _http_date(find_header(headers, "date"))
    if until is None or now is None:
        return None
    return min(max(until - now, 0.0), RETRY_AFTER_MAX_SECONDS)


def find_header(headers: Mapping[str, str], name: str) -> str:
    """Return the value of the header `name` (given in lower case), stripped; empty where there is none."""
    return next((value.strip() for key, value in headers.items() if key.lower() == name), "")


def _http_date(text: str) -> float | None:
    if not _HTTP_DATE.fullmatch(text):
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
