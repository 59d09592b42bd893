"""A program whose clock is ahead of everybody else's, to be put before the rest of one."""

CLOCK_AHEAD = """
import datetime

_real = datetime.datetime

class _Meta(type):
    def __instancecheck__(cls, value):
        return isinstance(value, _real)

class _Ahead(_real, metaclass=_Meta):
    @classmethod
    def now(cls, tz=None):
        return _real.now(tz) + datetime.timedelta(minutes=MINUTES)

datetime.datetime = _Ahead
"""


def with_clock_ahead(program: str, minutes: int) -> str:
    """The program under a clock that is so many minutes ahead."""
    return CLOCK_AHEAD.replace("MINUTES", str(minutes)) + program
