"""The errors of the image API, as one tree. Must not know HTTP libraries, Discord or credits.

QwenError
├── RequestRefused            sure: the service answered, took nothing, and would answer the same again
│   ├── PromptRefused         400 about the request: invalid, or refused by moderation
│   ├── KeyRefused            401, 403, in the API's envelope
│   │   └── EndpointRefused   QWEN_API_URL has no such path: like a wrong key, only the owner can fix it
│   ├── AccountEmpty          402, or a 400/403 that speaks of missing credits: those of the owner's account
│   └── TaskNotFound          404 for a poll, in the API's envelope
├── RateLimited               429, or for a poll 503 with Retry-After: nothing was taken; wait for retry_after_seconds
├── ServiceUnavailable        temporary, and it is sure that nothing was taken; `http_status` where something in front
│                             of the service refused the request (a challenge page, a proxy's 403 or 404)
├── OutcomeUnknown            only for the POST: it may have been taken. Never posted again automatically
└── ImageError                about downloading the finished image
    ├── ImageUrlRefused       the guard forbids this address
    ├── ImageTooLarge         more bytes than limit_bytes
    ├── NotAnImage            the bytes are no PNG, JPEG or WebP that can be shown
    │   └── NotWhole          they begin as one and end too soon; another try may help
    └── ImageUnavailable      it could not be downloaded; `temporary` says whether later may help

str() of each is safe for a log: the bot's own words and numbers, never the key, the prompt or an address.
The service's own words are in `service_message`: one clean line for the person who asked, not for the log.
"""

from __future__ import annotations

from qwen.cleaning import clean_line


class QwenError(Exception):
    """The base of the tree. `reason`: the bot's own words. `service_message`: the service's words, cleaned here.

    `http_status` is the HTTP status and `code` the envelope's code, each None where there was none.
    """

    sentence = "The image service could not be used"

    def __init__(
        self,
        reason: str = "",
        *,
        http_status: int | None = None,
        code: int | None = None,
        service_message: str = "",
    ) -> None:
        self.reason = reason
        self.http_status = http_status
        self.code = code
        self.service_message = clean_line(service_message)
        super().__init__(_compose(self.sentence, reason, http_status, code))


class RequestRefused(QwenError):
    sentence = "The image service refused the request"


class PromptRefused(RequestRefused):
    sentence = "The image service refused this request as invalid or not allowed"


class KeyRefused(RequestRefused):
    sentence = "The image service refused the API key"


class EndpointRefused(KeyRefused):
    sentence = "The image service does not know the path that was called; QWEN_API_URL may be wrong"


class AccountEmpty(RequestRefused):
    sentence = "The image service's account has no credits left"


class TaskNotFound(RequestRefused):
    sentence = "The image service does not know this task"


class RateLimited(QwenError):
    """`retry_after_seconds`: 0 to 300, or None when the service named no time."""

    sentence = "The image service asks to slow down"

    def __init__(
        self,
        reason: str = "",
        *,
        retry_after_seconds: float | None = None,
        http_status: int | None = None,
        code: int | None = None,
        service_message: str = "",
    ) -> None:
        super().__init__(reason, http_status=http_status, code=code, service_message=service_message)
        self.retry_after_seconds = retry_after_seconds


class ServiceUnavailable(QwenError):
    sentence = "The image service cannot be reached or used for now"


class OutcomeUnknown(QwenError):
    sentence = "The image service may or may not have taken the request"


class ImageError(QwenError):
    sentence = "The finished image could not be fetched"


class ImageUrlRefused(ImageError):
    sentence = "The image's address is not one that may be fetched"


class ImageTooLarge(ImageError):
    """`limit_bytes` was to be kept; `size_bytes` is the image's size where it was announced, else None."""

    sentence = "The image is too large"

    def __init__(self, limit_bytes: int, size_bytes: int | None = None) -> None:
        announced = "" if size_bytes is None else f"{size_bytes} bytes, "
        super().__init__(f"{announced}at most {limit_bytes} bytes are taken")
        self.limit_bytes = limit_bytes
        self.size_bytes = size_bytes


class NotAnImage(ImageError):
    sentence = "What was fetched is not an image that can be shown"


class NotWhole(NotAnImage):
    sentence = "Only a part of the image came"


class ImageUnavailable(ImageError):
    """`temporary`: whether trying again later may help."""

    sentence = "The image could not be fetched"

    def __init__(self, reason: str = "", *, temporary: bool, http_status: int | None = None) -> None:
        super().__init__(reason, http_status=http_status)
        self.temporary = temporary

    @property
    def may_still_come(self) -> bool:
        """Whether an image that was just made may be there later, also where the answer says that there is none.

        A CDN that does not have it yet says 404; S3 says 403 for a missing object to a caller that may not list the
        bucket (Amazon S3 API reference, GetObject, "Permissions"), and others put 401 or 410 there.
        """
        return self.temporary or self.http_status in _MISSING


_MISSING = frozenset({401, 403, 404, 410})


def _compose(sentence: str, reason: str, http_status: int | None, code: int | None) -> str:
    numbers = [f"HTTP {http_status}"] if http_status is not None else []
    if code is not None:
        numbers.append(f"code {code}")
    return sentence + (f": {reason}" if reason else "") + (f" ({', '.join(numbers)})" if numbers else "")
