"""Names of signals as people write them."""

import signal

from podling.base.errors import InvalidInput


def signal_number(asked: str | int) -> int:
    """`SIGTERM`, `term`, `15` or 15; also SIGRTMIN+n. Raises InvalidInput."""
    text = str(asked).strip().upper()
    if text.isdecimal():
        number = int(text)
        if not 0 < number <= signal.SIGRTMAX:
            raise InvalidInput(f"invalid signal: {asked}")
        return number
    name = text.removeprefix("SIG")
    for lead, base, sign in (("RTMIN+", signal.SIGRTMIN, 1), ("RTMAX-", signal.SIGRTMAX, -1)):
        if name.startswith(lead) and name[len(lead) :].isdecimal():
            return base + sign * int(name[len(lead) :])
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        raise InvalidInput(f"invalid signal: {asked}") from None
