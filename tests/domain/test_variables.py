"""Variables in square brackets."""

import pytest

from kanal.domain.variables import VARIABLES, filled

VALUES = {
    "user_name": "Анна <b>",
    "case_number": "051-666140",
    "last_message": "1 < 2\r\n[user_name]\nBye",
    "staff_name": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("[user_name], [case_number]!", "Анна <b>, 051-666140!"),
        ("[user_name][user_name]", "Анна <b>Анна <b>"),
        ("[staff_name].", "."),
        ("[last_message]", "1 < 2\r\n[user_name]\nBye"),
        ("[[user_name]]", "[Анна <b>]"),
        (
            "[unknown] [USER_NAME] [ user_name] [user_name",
            "[unknown] [USER_NAME] [ user_name] [user_name",
        ),
        ("[]\\1 \\g<0>", "[]\\1 \\g<0>"),
    ],
)
def test_a_known_name_is_replaced_once_and_all_else_stands(text: str, expected: str) -> None:
    assert filled(text, VALUES) == expected


def test_every_variable_has_a_form_that_is_found() -> None:
    for name in VARIABLES:
        assert filled(f"[{name}]", {name: "x"}) == "x"
