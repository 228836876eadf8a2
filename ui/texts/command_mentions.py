"""Make the commands that a sentence names clickable. Pure. Must not know Discord's library.

Sentences name a command in code marks, such as `/imagine` or `/privacy show`. What a person typed was escaped
(ui/texts/escaping), so that no such name is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Discord docs: Application Commands, "Application Command Naming"; a command and at most a group and a subcommand.
_NAMED = re.compile(r"`/(?P<name>[a-z0-9_-]{1,32})(?P<rest>(?: [a-z0-9_-]{1,32}){0,2})`")
MENTION_UNITS = 21  # that a mention may have more than the name in code marks; an id has at most 20 digits


def mention_commands(text: str, ids: Mapping[str, int]) -> str:
    """Write each command of *text* as a mention that opens it, </privacy show:123>; one without an id stays as it is.

    *ids*: of commands by name, without subcommands (Discord docs: Reference, "Message Formatting").
    """

    def mention(found: re.Match[str]) -> str:
        command_id = ids.get(found["name"])
        return found[0] if command_id is None else f"</{found['name']}{found['rest']}:{command_id}>"

    return _NAMED.sub(mention, text)
