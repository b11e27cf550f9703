"""Variables in texts that staff prepare: `[user_name]` stands for the user's name when the text is sent."""

import re
from collections.abc import Mapping

VARIABLES = (
    "case_id",
    "case_number",
    "case_subject",
    "case_description",
    "last_message",
    "user_id",
    "user_name",
    "user_email",
    "user_phone",
    "staff_id",
    "staff_name",
    "staff_email",
    "group_name",
)
"""The names are Omnidesk's where they are known. `case_description` is the first message, `last_message` the last one that is
no note.
"""

Values = Mapping[str, str]
"""One for each of VARIABLES."""

_NAMED = re.compile(r"\[([a-z_]+)\]")


def filled(text: str, values: Values) -> str:
    """What is no variable stays as it stands; what a value holds is not looked at again."""
    return _NAMED.sub(lambda found: values.get(found[1], found[0]), text)


def named(text: str) -> set[str]:
    """What stands in brackets as variables do, whether they are any or not."""
    return set(_NAMED.findall(text))
