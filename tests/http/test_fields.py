from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import Field

from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import (
    MAX_CONTENT,
    MAX_ID,
    Content,
    Email,
    Fields,
    Flag,
    Id,
    Line,
    Many,
    Moment,
    Paging,
    Phone,
    Text,
    read_query,
    section,
)


class AccountOf(NamedTuple):
    dates: Dates = Dates(ZoneInfo("UTC"))
    phone_region: str = "RU"


ACCOUNT = AccountOf()


class Call(Fields):
    CODES: ClassVar[dict[str, str]] = {"other_email": "incorrect_user_email"}

    content: Content | None = None
    subject: Line | None = None
    user_custom_id: Line | None = None
    note: Text | None = None
    staff_id: Id | None = None
    do_not_send_email: Flag | None = None
    status: Literal["open", "waiting", "closed"] | None = None
    user_email: Email | None = None
    other_email: Email | None = None
    user_phone: Phone | None = None
    created_at: Moment | None = None
    labels: Annotated[list[Id], Many] | None = None


def given(**data: Any) -> dict[str, Any]:
    return Call.read(data, ACCOUNT).given()


def refused(**data: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        Call.read(data, ACCOUNT)
    assert caught.value.status == 400
    return caught.value


def test_unknown_keys_are_ignored() -> None:
    assert given(lables=[1], subject="x", case_id=5) == {"subject": "x"}


@pytest.mark.parametrize("nothing", [None, "", []])
def test_null_empty_text_and_empty_list_are_not_given(nothing: object) -> None:
    assert given(subject=nothing, staff_id=nothing, user_email=nothing, labels=nothing) == {}


@pytest.mark.parametrize(
    "text", ["0", " ", " a ", "\r\n", "000123", "ж😀", "false", "null", "a\tb", "e\u0301", "\ufeff"]
)
def test_a_text_is_never_changed(text: str) -> None:
    expected = {"content": text, "subject": text, "user_custom_id": text, "note": text}
    assert given(**expected) == expected


@pytest.mark.parametrize("number", [55, 0, -1, 10**30])
def test_a_number_is_taken_as_its_digits_where_a_text_is_meant(number: int) -> None:
    assert given(user_custom_id=number, content=number) == {
        "user_custom_id": str(number),
        "content": str(number),
    }


@pytest.mark.parametrize("wrong", [True, False, 5.0, {}, {"a": 1}, [1], 10**200])
def test_other_kinds_are_no_text(wrong: object) -> None:
    for name in ("content", "subject", "user_custom_id", "note"):
        assert refused(**{name: wrong}).fields == {name: "must be a text"}


def test_half_a_surrogate_pair_is_refused() -> None:
    for name in ("content", "subject", "user_custom_id", "note"):
        assert list(refused(**{name: "\ud800"}).fields or {}) == [name]


def test_a_line_has_255_characters() -> None:
    line = "😀" * 255
    assert given(subject=line, user_custom_id=line) == {"subject": line, "user_custom_id": line}
    error = refused(subject=line + "x")
    assert error.code == "too_long"
    assert error.fields == {"subject": "may have up to 255 characters"}


def test_a_content_has_a_megabyte_of_octets() -> None:
    fits = "ж" * (MAX_CONTENT // 2)
    assert given(content=fits) == {"content": fits}
    assert refused(content=fits + "x").code == "content_too_long"


@pytest.mark.parametrize(
    ("value", "number"),
    [(12, 12), ("12", 12), (" 12 ", 12), (0, 0), ("0", 0), (5654846848.0, 5654846848)],
)
def test_an_id_may_be_a_text(value: object, number: int) -> None:
    assert given(staff_id=value) == {"staff_id": number}


@pytest.mark.parametrize(
    "wrong",
    [
        True,
        1.5,
        2.0**53,
        "1.0",
        "x",
        "1 2",
        -1,
        "-1",
        MAX_ID + 1,
        "9" * 5000,
        [1],
        {},
        "0x1",
        "+1",
        "1_0",
    ],
)
def test_what_is_no_id_is_refused(wrong: object) -> None:
    assert list(refused(staff_id=wrong).fields or {}) == ["staff_id"]


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((value, True) for value in (1, "1", True, "true", "True")),
        *((value, False) for value in (0, "0", False, "false", "False")),
    ],
)
def test_a_flag_has_many_forms(value: object, flag: bool) -> None:
    assert given(do_not_send_email=value) == {"do_not_send_email": flag}


@pytest.mark.parametrize("wrong", [2, "yes", 1.0, [1], {}, " "])
def test_other_words_are_no_flag(wrong: object) -> None:
    error = refused(do_not_send_email=wrong)
    assert error.fields == {"do_not_send_email": "must be true or false"}


def test_contacts_come_normalised_and_as_given() -> None:
    found = given(user_email=" A@B.ru", user_phone=79161234567)
    assert (found["user_email"].given, found["user_email"].normalised) == (" A@B.ru", "a@b.ru")
    assert found["user_phone"].normalised == "+79161234567"


def test_a_phone_is_read_in_the_accounts_region() -> None:
    given_phone = Call.read({"user_phone": "030 123456"}, AccountOf(phone_region="DE")).user_phone
    assert given_phone
    assert given_phone.normalised == "+4930123456"


def test_a_wrong_phone_is_named_beside_all_else_that_is_wrong() -> None:
    error = refused(user_phone="zz", user_email="no", status="x")
    assert list(error.fields or {}) == ["status", "user_email", "user_phone"]
    assert refused(user_phone="zz").code == "wrong_phone"


def test_bounds_and_lists_are_told_in_our_words() -> None:
    class Bounded(Fields):
        seconds: Annotated[Id, Field(ge=1, le=60)] = 1
        actions: tuple[Id, ...] = ()

    for data, words in (
        ({"seconds": 0}, "must be at least 1"),
        ({"seconds": 61}, "must be at most 60"),
        ({"actions": "none"}, "must be a list"),
    ):
        with pytest.raises(ApiError) as caught:
            Bounded.read(data)
        assert list((caught.value.fields or {}).values()) == [words]


def test_dates_are_microseconds() -> None:
    assert given(created_at="1970-01-01 00:00:01") == {"created_at": 1_000_000}
    assert refused(created_at="soon").code == "wrong_date"


@pytest.mark.parametrize(
    "value",
    [[1, 2], ["1", "2"], "1,2", ["1", "", "2"], {"0": 1, "2": "2"}, {"1": "", "4": 1, "5": 2}],
)
def test_a_list_may_be_one_text(value: object) -> None:
    assert given(labels=value) == {"labels": [1, 2]}


def test_one_value_is_a_list_of_one() -> None:
    assert given(labels=7) == {"labels": [7]}
    assert list(refused(labels=[1, "x"]).fields or {}) == ["labels.1"]
    assert list(refused(labels={"a": 1}).fields or {}) == ["labels.0"]


def test_all_wrong_fields_are_named_at_once() -> None:
    error = refused(subject=True, staff_id="x", status="nonsense", content="fine")
    assert error.code == "invalid_parameters"
    assert error.fields == {
        "subject": "must be a text",
        "staff_id": "must be a whole number",
        "status": "must be 'open', 'waiting' or 'closed'",
    }
    assert error.message == (
        "subject must be a text; staff_id must be a whole number; "
        "status must be 'open', 'waiting' or 'closed'."
    )


def test_the_first_code_of_a_field_is_the_answers() -> None:
    assert refused(staff_id="x", user_email="x").code == "wrong_email"
    assert refused(other_email="x", user_email="x").code == "wrong_email"
    assert refused(other_email="x").code == "incorrect_user_email"


def test_a_required_field_is_named() -> None:
    class Strict(Fields):
        title: Line

    with pytest.raises(ApiError) as caught:
        Strict.read({"title": ""})
    assert caught.value.fields == {"title": "is required"}


def test_the_wrapper_is_an_object() -> None:
    assert section({"case": {"a": 1}}, "case") == {"a": 1}
    assert section({"case": []}, "case") == {}
    assert section({"labels": {"a": 1}}, "label", "labels") == {"a": 1}
    assert section({"a": 1}, "staff", bare=True) == {"a": 1}
    for wrong in ({}, {"case": 1}, {"case": "x"}, {"case": [1]}):
        with pytest.raises(ApiError) as caught:
            section(wrong, "case")
        assert list(caught.value.fields or {}) == ["case"]


def query(text: str) -> dict[str, Any]:
    return read_query(make_mocked_request("GET", f"/api/cases.json?{text}"))


def test_a_query_takes_all_kinds_of_brackets() -> None:
    assert query("channel=cch1&status[]=open&status[]=closed&staff_id[0]=1") == {
        "channel": "cch1",
        "status": ["open", "closed"],
        "staff_id": ["1"],
    }
    assert query("status=open&status=closed") == {"status": ["open", "closed"]}
    assert query("custom_fields[cf_1]=a%26b+c") == {"custom_fields": {"cf_1": "a&b c"}}
    assert query("") == {}


@pytest.mark.parametrize(
    ("text", "offset", "rows"),
    [
        ("", 0, 100),
        ("page=0", 0, 100),
        ("page=-3&limit=-3", 0, 1),
        ("page=2&limit=10", 10, 10),
        ("page=2&limit=1000", 100, 100),
        ("page=&limit=", 0, 100),
        ("page=500&limit=1", 499, 1),
        ("page=99999999999999999999&limit=1", 499, 0),
    ],
)
def test_paging_is_brought_into_its_range(text: str, offset: int, rows: int) -> None:
    paging = Paging.read(query(text))
    assert (paging.offset, paging.rows) == (offset, rows)


def test_a_page_that_is_no_number_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        Paging.read(query("page=x"))
    assert caught.value.fields == {"page": "must be a whole number"}


def test_models_tell_their_schema() -> None:
    schema = Call.model_json_schema()["properties"]
    assert schema["user_email"]["anyOf"][0] == {"type": "string", "format": "email"}
    assert schema["subject"]["anyOf"][0]["maxLength"] == 255
