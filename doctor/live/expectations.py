"""What the bot expects the real Discord to answer, and what takes care of it where Discord answers otherwise. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from discord_api.errors import MISSING_ACCESS
from discord_api.live_calls import Answer
from doctor.model import Finding, Level

INVALID_FORM_BODY = 50035  # Discord docs: Opcodes and Status Codes, "JSON"

_SEPARATELY = "ui/delivery/fallback posts the image in a message of its own, and the card says where"
_WITHOUT_BOT = (
    "nothing to do: ui/delivery/channels takes 403 and 404 alike, and generations/token_only_channels remembers that "
    "only the interaction's token reaches the channel; where Discord lets the bot in, it is a member of that server"
)
_NO_FILES = (
    "where Attach Files is missing /imagine is refused before anything is paid (ui/interactions/origin, "
    "missing_permissions); if it is taken away later and this is refused, ui/delivery/fallback goes on to a direct "
    "message; if it is taken, the first refusal could go"
)
_LIST = "discord_api/command_sync sends the list again, less and less often, until it is taken"
_A_DAY = "each run takes one of the 200 new commands that Discord allows a day (30034)"
_UNDONE = "ui/interactions/first_response undoes the request"
_BUDGET = "harmless: ui/texts/text_budget keeps each message at TEXT_BYTES_MAX, which could be larger"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One step, and what is expected of it.

    *status*: of HTTP, and *code*: Discord's own; 200 stands for every success, None for what nobody knows. *otherwise*:
    which setting or code takes care of another answer; *level*: how bad that is.
    """

    step: str
    otherwise: str
    status: int | None = 200
    code: int = 0
    level: Level = Level.WARN


class Expected(Enum):
    """Every step that ends with one answer of Discord's."""

    CHANNEL = Expectation("channel", "name a channel that the bot sees: View Channel", level=Level.FAIL)
    CARD = Expectation(
        "post a card",
        "the bot needs Send Messages (in a thread: Send Messages in Threads) and Attach Files; without them "
        "ui/delivery/fallback goes on to a follow-up by the interaction's token and to a direct message",
        level=Level.FAIL,
    )
    ONE = Expectation("edit: the first picture", _SEPARATELY)
    TWO = Expectation("edit: a second picture, one kept", _SEPARATELY)
    THREE = Expectation("edit: a third picture, two kept", _SEPARATELY)
    FOUR = Expectation("edit: a fourth picture, three kept", _SEPARATELY)
    KEPT = Expectation("edit: no file, four pictures kept", "ui/delivery/calls has lost images posted again")
    ID_ALONE = Expectation(
        "edit: pictures kept by id without file name",
        "harmless: ui/delivery/payload (KeptAttachment) sends id and file name",
        status=400,
        code=INVALID_FORM_BODY,
    )
    ADDRESSES = Expectation(
        "post a gallery of Discord's own addresses",
        "ui/views/cards_history shows pictures so: the bot may need Embed Links; a card names its pictures so only "
        "where no id is known (ui/delivery/payload)",
    )
    FETCH = Expectation(
        "fetch the card",
        "grant Read Message History: without it /history shows no pictures (ui/interactions/origin, "
        "channel_without_history), and ui/delivery/calls can't fetch ids that an answer leaves out",
    )
    TEXT = Expectation("edit: 11,700 bytes of text", _BUDGET, status=500)
    GALLERY_TEXT = Expectation("edit: 12,288 bytes of alt text in the gallery", _BUDGET, status=500)
    FILE_TEXT = Expectation(
        "edit: 12,288 bytes of alt text at the files",
        "nothing to do: ui/texts/text_budget keeps these texts at FILES_BYTES_MAX, whether they count or not",
        status=None,
    )
    MENU_TEXT = Expectation("edit: 15,000 bytes of labels in two menus", _BUDGET, status=500)
    JAPANESE = Expectation(
        "post a card with four pictures and 2,000 Japanese characters",
        "after three 5xx ui/delivery/fallback sends a brief card, then the images apart; TEXT_BYTES_MAX in "
        "ui/texts/text_budget should be smaller",
    )
    NINE_MIB = Expectation(
        "post a picture of 9 MiB", "after a 413 ui/delivery/fitting re-encodes the image, then the card links to it"
    )
    PRIVATE_THREAD = Expectation(
        "post in a private thread without the bot",
        "nothing to do: ui/delivery/channels takes 403 and 404 alike and goes on by the interaction's token; where the "
        "bot is let in (a member, or Manage Threads), its own token does",
        status=403,
        code=MISSING_ACCESS,
    )
    WITHOUT_BOT_FETCH = Expectation(
        "server without the bot: fetch the channel", _WITHOUT_BOT, status=403, code=MISSING_ACCESS
    )
    WITHOUT_BOT_POST = Expectation("server without the bot: post a card", _WITHOUT_BOT, status=403, code=MISSING_ACCESS)
    DIRECT_MESSAGE = Expectation(
        "direct message to the owner",
        "only the log has alerts then: OWNER_IDS names who gets them, and they must allow direct messages",
    )
    INSTALLS = Expectation("command: which installs are on", "no command is made then: run this again")
    COMMAND = Expectation("command: make one for servers and people", f"{_LIST}; {_A_DAY}")
    COMMAND_SWITCHED_OFF = Expectation(
        "command: make one for servers and people while User Install is off",
        f"if it is refused, so is the bot's list: {_LIST}; switch User Install on (Developer portal, Installation). "
        f"Otherwise nothing is to do; {_A_DAY}",
        status=None,
    )
    DEFERRED = Expectation("button: thinking…", _UNDONE, level=Level.FAIL)
    DEFERRED_UPLOAD = Expectation("button: upload into the deferred response", _SEPARATELY)
    TOKEN_EDIT = Expectation("button: edit by the token, one picture kept, one new", _SEPARATELY)
    BOT_EDIT = Expectation(
        "button: edit of the public response with the bot's own token",
        "ui/delivery/channels uses the interaction's token for 15 minutes, then ui/delivery/fallback a new message",
    )
    FOLLOW_UP = Expectation("button: follow-up with a picture", "ui/delivery/fallback goes on to a direct message")
    WHISPER = Expectation(
        "button: follow-up for one person", "Details that need several messages are sent so (ui/interactions/buttons)"
    )
    NO_FILES_CHANNEL = Expectation("no files: channel", "name a channel that the bot sees: View Channel")
    NO_FILES_DEFERRED = Expectation("no files: thinking…", _UNDONE)
    NO_FILES_UPLOAD = Expectation("no files: upload into the deferred response", _NO_FILES, status=None)
    NO_FILES_EDIT = Expectation("no files: edit by the token, a new picture", _NO_FILES, status=None)


def judge(expected: Expected, answer: Answer) -> Finding:
    """Compare an answer with what is expected."""
    wanted = expected.value
    if wanted.status is None:
        text = f"not known before: Discord said {say(answer)}"
        return Finding(wanted.step, Level.OK, text, wanted.otherwise)
    if is_expected(wanted, answer):
        return Finding(wanted.step, Level.OK, f"as expected: HTTP {answer.status}, {answer.milliseconds} ms")
    return Finding(wanted.step, wanted.level, f"Discord said instead: {say(answer)}", wanted.otherwise)


def is_expected(wanted: Expectation, answer: Answer) -> bool:
    """Whether *answer* is the one that is expected."""
    if wanted.status == 200:
        return answer.is_success
    return (answer.status, answer.code) == (wanted.status, wanted.code)


def judge_ids(has_ids: bool, answer: Answer) -> Finding:
    """Judge whether the answer to an edit named the ids of its pictures, which the next edit needs."""
    step = "ids of pictures in the answer to an edit"
    if has_ids:
        return Finding(step, Level.OK, "as expected: each picture has its attachment id")
    return Finding(
        step,
        Level.WARN,
        f"Discord said instead: {say(answer)} without the ids",
        "ui/delivery/calls fetches the card for them, and without any discord_api/appending edits without a list",
    )


def judge_created(made: str, asked: str) -> Finding:
    """Judge whether the command that Discord *made* has the integration types and contexts that were *asked* for."""
    step = "command: installs and contexts in the answer"
    if made == asked:
        return Finding(step, Level.OK, f"as expected: {made}")
    advice = "commands appear in fewer places than README says; which installs are on is set in the developer portal"
    return Finding(step, Level.WARN, f"Discord said instead: {made}", advice)


def say(answer: Answer) -> str:
    """Return a refusal word for word, on one line. Of a success, whose body is our own message, only its status."""
    if answer.status is None:
        return f"nothing ({answer.words})"
    if answer.is_success:
        return f"HTTP {answer.status}"
    return f"HTTP {answer.status}: {answer.words or '(an empty body)'}"
