"""Recognise a challenge page, with which a CDN answers in place of the service to tell browsers from programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from qwen.retry_after import find_header

# Cloudflare docs, "Detect a Challenge Page response": every challenge page, whatever its status, has cf-mitigated:
# challenge. AWS docs, "CAPTCHA and Challenge action behavior": x-amzn-waf-action, with status 202 or 405.
_SIGNS = {"cf-mitigated": ("challenge",), "x-amzn-waf-action": ("challenge", "captcha")}


def is_challenge(headers: Mapping[str, str]) -> bool:
    """Whether the headers of an answer say that it is a challenge page; then the request was not passed on."""
    return any(find_header(headers, name).lower() in values for name, values in _SIGNS.items())
