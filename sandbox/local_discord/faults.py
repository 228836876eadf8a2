"""Faults that tests switch on: REST calls that fail, gateway connections that break, lies. All are off at first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from sandbox.local_discord.errors import DiscordError
from sandbox.local_discord.rules.rate_limits import rate_limited
from sandbox.local_discord.state.model import Lie


@dataclass(slots=True)
class RestFault:
    """What happens to matching REST calls.

    `drop`: close the connection before or after the call took effect. `after`: let the call take effect, then answer
    with `status`. `left`: for how many more calls, None for all.
    """

    method: str
    route: re.Pattern[str]
    left: int | None
    status: int | None
    code: int
    message: str
    retry_after: float
    with_via: bool
    global_limit: bool
    drop: Literal["before", "after"] | None
    delay_seconds: float
    after: bool
    uploads_only: bool

    def error(self) -> DiscordError | None:
        if self.status is None:
            return None
        if self.status == 429:
            return rate_limited(
                self.retry_after,
                code=self.code,
                with_via=self.with_via,
                scope="global" if self.global_limit else "user",
            )
        return DiscordError(self.status, self.code, self.message or f"{self.status}: Injected fault")


class FaultyGateway(Protocol):
    """The methods of the gateway that switch faults on."""

    def reconnect(self) -> None: ...
    def invalidate(self, *, resumable: bool) -> None: ...
    def close_sockets(self, code: int) -> None: ...
    def repeat(self, event: str, times: int) -> None: ...
    def set_channel_type(self, channel_type: int | None) -> None: ...
    def refuse_upgrades(self, times: int) -> None: ...
    def close_before_hello(self, times: int, code: int) -> None: ...
    def send(self, event: str, body: object) -> None: ...


class Faults:
    """*lies*: those that are switched on, as the rules read them."""

    def __init__(self, gateway: FaultyGateway, lies: set[Lie]) -> None:
        self._gateway = gateway
        self._lies = lies
        self._faults: list[RestFault] = []

    def rest(
        self,
        method: str,
        route: str,
        *,
        times: int | None = 1,
        status: int | None = None,
        code: int = 0,
        message: str = "",
        retry_after: float = 1.0,
        with_via: bool = True,
        global_limit: bool = False,
        drop: Literal["before", "after"] | None = None,
        delay_seconds: float = 0.0,
        after: bool = False,
        uploads_only: bool = False,
    ) -> RestFault:
        """Make the next *times* calls (None: all) fail whose method is *method* ("*": any) and whose path matches
        *route*.

        *route* is a regular expression, searched in the path without /api/v10. *uploads_only*: only calls with files.
        """
        fault = RestFault(
            method,
            re.compile(route),
            times,
            status,
            code,
            message,
            retry_after,
            with_via,
            global_limit,
            drop,
            delay_seconds,
            after,
            uploads_only,
        )
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """End all faults of REST calls, and all lies."""
        self._faults.clear()
        self._lies.clear()

    @property
    def lies(self) -> frozenset[Lie]:
        return frozenset(self._lies)

    def lie(self, lie: Lie, on: bool = True) -> None:
        """Have this Discord do something in another way than the real one, or end that."""
        (self._lies.add if on else self._lies.discard)(lie)

    def match(self, method: str, path: str, *, uploads: bool = False) -> RestFault | None:
        """Return the first fault that fits and count its use, or None."""
        for fault in self._faults:
            meant = fault.method in ("*", method) and (uploads or not fault.uploads_only)
            if meant and fault.route.search(path):
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def gateway_reconnect(self) -> None:
        """Send op 7 to every session."""
        self._gateway.reconnect()

    def gateway_invalidate(self, *, resumable: bool = False) -> None:
        """Send op 9 to every session."""
        self._gateway.invalidate(resumable=resumable)

    def gateway_close(self, code: int = 4000) -> None:
        """Close every socket with this code; 1006 drops the connection without a close frame."""
        self._gateway.close_sockets(code)

    def gateway_repeat(self, event: str = "INTERACTION_CREATE", times: int = 1) -> None:
        """Send the next *times* events of this name twice."""
        self._gateway.repeat(event, times)

    def gateway_restart(self, *, refused: int = 2, closed_before_hello: int = 1, code: int = 1006) -> None:
        """Drop every socket, answer the next *refused* upgrades with 503 and close the next *closed_before_hello*
        sockets before HELLO. Seen on an independent Discord-compatible server while it restarted."""
        self._gateway.refuse_upgrades(refused)
        self._gateway.close_before_hello(closed_before_hello, code)
        self._gateway.close_sockets(1006)

    def gateway_channel_type(self, channel_type: int | None = 777) -> None:
        """Give every interaction's channel this type from now on; None: its own. Discord adds types now and then, and
        discord.py 2.7.1 drops a channel whose type it does not know (interactions.py `_from_data`)."""
        self._gateway.set_channel_type(channel_type)

    def gateway_send(self, event: str = "INTERACTION_CREATE", body: object = None) -> None:
        """Send an event with this body to every session. No library can read the default, None."""
        self._gateway.send(event, body)
