"""Patterns of rules: found in linear time, so that no pattern and no message can hold anything up."""

from functools import lru_cache
from typing import Any, Final

import re2

CACHED: Final = 1000
"""Compiled patterns: more than the rules of an account have."""
MEMORY: Final = 1 << 20
"""Octets that one pattern may take while it is looked for; a longer one is refused when it is given."""

_OPTIONS: Final = re2.Options()
_OPTIONS.max_mem = MEMORY
_OPTIONS.log_errors = False


def wrong_pattern(pattern: str) -> str:
    """Why it is none; "" if it is one."""
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        return reason.decode() if isinstance(reason, bytes) else str(reason)
    return ""


def matches(pattern: str, text: str) -> bool:
    """Whether it is found anywhere in the text; letter case counts unless the pattern begins with `(?i)`."""
    return _compiled(pattern).search(text) is not None


@lru_cache(CACHED)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)
