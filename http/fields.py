"""Reading fields the way Omnidesk's clients send them: lenient in form, strict in meaning.

Ids come as strings and texts as numbers; null, "" and [] mean `not given`; unknown keys are
ignored. A text itself is never trimmed or changed. All wrong fields are named at once.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Protocol, Self, cast

from aiohttp import web
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from kanal.domain.files import MAX_COUNT
from kanal.domain.links import Contact
from kanal.http import body, contacts
from kanal.http.dates import Dates
from kanal.http.errors import ApiError

MAX_CONTENT = 1024 * 1024
"""Octets of UTF-8: half of what a body may have, so a text and its HTML fit in one request."""
MAX_LINE = 255
"""Characters of a subject, an external id, a name."""
MAX_COMMENT = 4096
"""Characters of what is said beside a rating; it is part of the state that its commands decide on."""
MAX_ID = 2**63 - 1
"""Ids outside are the databases' 64-bit integers."""
MAX_EMAILS = 50
"""Addresses that get a copy."""
EXACT = 2.0**53
"""Below it a floating-point number is the very id that a client meant; some have no other numbers."""
MAX_DIGITS = 100
"""A number that stands for a text is copied digit by digit; no id is longer."""

MAX_PAGE = 500
MAX_LIMIT = 100
"""Both are Omnidesk's."""

INVALID = "invalid_parameters"
"""The code when no field has a code of its own."""

NOT_GIVEN: tuple[object, ...] = (None, "", [])
"""PHP clients send all keys of a form, the unset ones as one of these."""


class Account(Protocol):
    """What values are read by that mean different things in different installations."""

    @property
    def dates(self) -> Dates: ...

    @property
    def phone_region(self) -> str: ...


class GivenOnly(BaseModel):
    """What clients send for `not given` counts as not given."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def only_given(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value not in NOT_GIVEN}


class Fields(GivenOnly):
    """The fields of one call; each is optional unless a model says otherwise.

    `CODES` gives a field's own error code: {"user_email": "incorrect_user_email"}.
    """

    CODES: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def read(cls, data: Mapping[str, Any], account: Account | None = None) -> Self:
        """`account` is needed if there are fields of the types `Moment` and `Phone`.

        Raises ApiError 400 that names all wrong fields.
        """
        try:
            return cast(Self, cls.__pydantic_validator__.validate_python(data, context=account))
        except ValidationError as error:
            raise _refusal(cls, error) from None

    def given(self) -> dict[str, Any]:
        """Only the fields that the caller gave, in the model's order."""
        there = self.__pydantic_fields_set__
        return {name: value for name, value in self.__dict__.items() if name in there}


def section(data: Mapping[str, Any], name: str, *others: str, bare: bool = False) -> dict[str, Any]:
    """The object that wraps a call's fields: {"case": {...}}.

    `others` are further names that clients use; `bare`: without a wrapper the body itself is it.
    Raises ApiError.
    """
    for each in (name, *others):
        value = data.get(each)
        if type(value) is dict:
            return cast(dict[str, Any], value)
        if value is not None and value != [] and value != "":
            break
        if each in data:
            return {}
    else:
        if bare:
            return dict(data)
    raise ApiError(
        400,
        INVALID,
        f'Put the fields into an object called "{name}": {{"{name}": {{...}}}}.',
        fields={name: "must be an object"},
    )


def read_query(request: web.Request) -> dict[str, Any]:
    """The query as a tree: `status=open&status[]=waiting`, `custom_fields[cf_1]=x`. For `Fields`."""
    text = request.rel_url.raw_query_string
    return body.from_urlencoded(text, gather=True) if text else {}


def wrong(sentence: str, code: str = "invalid") -> PydanticCustomError:
    """What a validator raises of a field: "must be ...". A code of its own is one of OWN_CODES."""
    # The library formats braces in the template, and the sentence may hold some.
    return PydanticCustomError(code, "{sentence}", {"sentence": sentence})


def as_text(value: object) -> str:
    kind = type(value)
    if kind is str:
        text = cast(str, value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise wrong("must not hold half a surrogate pair") from None
        return text
    if kind is int and abs(cast(int, value)) < 10**MAX_DIGITS:
        return str(value)
    raise wrong("must be a text")


def _line(value: object) -> str:
    text = as_text(value)
    if len(text) > MAX_LINE:
        raise wrong(f"may have up to {MAX_LINE} characters", "too_long")
    return text


def _comment(value: object) -> str:
    text = as_text(value)
    if len(text) > MAX_COMMENT:
        raise wrong(f"may have up to {MAX_COMMENT} characters", "too_long")
    return text


def _content(value: object) -> str:
    text = as_text(value)
    # A character is at most four octets: most texts need no second look.
    if len(text) * 4 > MAX_CONTENT and len(text.encode()) > MAX_CONTENT:
        raise wrong(f"may have up to {MAX_CONTENT} octets of UTF-8", "content_too_long")
    return text


def _whole(value: object) -> int:
    kind = type(value)
    if kind is int:
        return cast(int, value)
    if kind is float and cast(float, value).is_integer() and abs(cast(float, value)) < EXACT:
        return int(cast(float, value))
    if kind is str:
        digits = cast(str, value).strip()
        if len(digits) <= MAX_DIGITS and digits.removeprefix("-").isdecimal():
            return int(digits)
    raise wrong("must be a whole number")


def _id(value: object) -> int:
    number = _whole(value)
    if not 0 <= number <= MAX_ID:
        raise wrong("must be an id")
    return number


def _flag(value: object) -> bool:
    if type(value) is bool:
        return value
    word = str(value).lower() if type(value) in (str, int) else ""
    if word in ("1", "true"):
        return True
    if word in ("0", "false"):
        return False
    raise wrong("must be true or false")


def several(value: object) -> list[Any]:
    """`1`, `[1, 2]`, `1,2`, `{"1": 1, "3": 2}`, as which PHP writes a list with gaps: a list."""
    if isinstance(value, dict) and all(map(str.isdecimal, value)):
        value = list(value.values())
    if isinstance(value, list):
        return [each for each in value if each not in NOT_GIVEN]
    if isinstance(value, str):
        return [each for each in value.split(",") if each]
    return [value]


def _emails(value: object) -> str:
    """`a@x.com, b@x.com` or a list of such: joined by commas, as answers show them."""
    texts = value if isinstance(value, list) else [value]
    given = [each.strip() for text in texts for each in as_text(text).split(",") if each.strip()]
    if len(given) > MAX_EMAILS:
        raise wrong(f"may have up to {MAX_EMAILS} e-mail addresses", "too_long")
    try:
        return ",".join(contacts.email(each).given for each in given)
    except ValueError:
        raise wrong("must be e-mail addresses, joined by commas", "wrong_email") from None


def _email(value: object) -> Contact:
    try:
        return contacts.email(as_text(value))
    except ValueError as error:
        raise wrong(str(error), "wrong_email") from None


def _phone(value: object, info: ValidationInfo) -> Contact:
    try:
        return contacts.phone(as_text(value), cast(Account, info.context).phone_region)
    except ValueError as error:
        raise wrong(str(error), "wrong_phone") from None


def _no_files(value: object) -> tuple[()]:
    """Files themselves come as parts of a multipart body; a form may send their field empty."""
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(inner, str) or not isinstance(inner, Iterable) or any(map(_is_given, inner)):
        raise wrong(
            "must be files, sent as parts of multipart/form-data; addresses go into attachment_urls",
            "attachments_not_files",
        )
    return ()


def _is_given(value: object) -> bool:
    return value not in NOT_GIVEN


def _addresses(value: object) -> list[str]:
    """One address, or several; each once. A comma may be part of one."""
    if isinstance(value, dict):
        value = list(value.values())
    given = value if isinstance(value, list) else [value]
    urls = list(dict.fromkeys(as_text(each).strip() for each in given if _is_given(each)))
    if len(urls) > MAX_COUNT:
        raise wrong(f"may have up to {MAX_COUNT} addresses", "too_many_files")
    return urls


def _moment(value: object, info: ValidationInfo) -> int:
    dates = cast(Account, info.context).dates
    try:
        return dates.parse(value)
    except ValueError as error:
        raise wrong(str(error), "wrong_date") from None


Text = Annotated[str, BeforeValidator(as_text)]
Line = Annotated[str, BeforeValidator(_line), Field(json_schema_extra={"maxLength": MAX_LINE})]
"""A subject, an external id, a name."""
Comment = Annotated[
    str, BeforeValidator(_comment), Field(json_schema_extra={"maxLength": MAX_COMMENT})
]
Content = Annotated[str, BeforeValidator(_content)]
Id = Annotated[int, BeforeValidator(_id)]
"""0 means none where that makes sense (staff_id, group_id)."""
Flag = Annotated[bool, BeforeValidator(_flag)]
NoFiles = Annotated[
    tuple[()], PlainValidator(_no_files), WithJsonSchema({"type": "array", "maxItems": 0})
]
Addresses = Annotated[
    tuple[str, ...],
    BeforeValidator(_addresses),
    WithJsonSchema({"type": "array", "items": {"type": "string", "format": "uri"}}),
]
Many = BeforeValidator(several)
"""Annotated[list[Id], Many]"""
Email = Annotated[
    Contact,
    PlainValidator(_email),
    WithJsonSchema({"type": "string", "format": "email"}),
]
Emails = Annotated[str, BeforeValidator(_emails)]
"""Copies of a case: joined by commas."""
Phone = Annotated[
    Contact,
    PlainValidator(_phone),
    WithJsonSchema({"type": "string"}),
]
Moment = Annotated[
    int,
    PlainValidator(_moment),
    WithJsonSchema({"type": ["string", "number"]}),
]
"""Microseconds since the epoch; the account's zone counts if the caller names none."""


Limit = Annotated[int, BeforeValidator(lambda value: min(max(1, _whole(value)), MAX_LIMIT))]
"""How many of a list; what is out of range is brought into it."""


class Paging(Fields):
    """`page` and `limit` of every list: what is out of range is brought into it."""

    page: Annotated[int, BeforeValidator(lambda value: max(1, _whole(value)))] = 1
    limit: Limit = MAX_LIMIT

    @property
    def rows(self) -> int:
        """How many rows to read: none past the last page that there can be."""
        return self.limit if self.page <= MAX_PAGE else 0

    @property
    def offset(self) -> int:
        return (min(self.page, MAX_PAGE) - 1) * self.limit


SENTENCES: dict[str, str] = {
    "missing": "is required",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
}
"""Our words for what pydantic itself finds wrong; for other kinds its own are fine."""

OWN_CODES = frozenset(
    {
        "attachments_not_files",
        "too_many_files",
        "wrong_email",
        "wrong_phone",
        "wrong_date",
        "too_long",
        "content_too_long",
    }
)
"""Kinds of errors whose name is the answer's code."""


def _refusal(model: type[Fields], error: ValidationError) -> ApiError:
    errors = error.errors(include_url=False, include_input=False)
    wrong: dict[str, str] = {}
    codes: list[str] = []
    for each in errors:
        name = ".".join(map(str, each["loc"])) or "body"
        wrong.setdefault(name, _words(each))
        kind = model.CODES.get(str(each["loc"][0]) if each["loc"] else "", each["type"])
        if kind in OWN_CODES or kind in model.CODES.values():
            codes.append(kind)
    message = "; ".join(f"{name} {words}" for name, words in wrong.items())
    return ApiError(400, codes[0] if codes else INVALID, f"{message}.", fields=wrong)


def _words(error: ErrorDetails) -> str:
    match error["type"]:
        case "literal_error":
            return f"must be {error['ctx']['expected']}"
        case "greater_than_equal":
            return f"must be at least {error['ctx']['ge']}"
        case "less_than_equal":
            return f"must be at most {error['ctx']['le']}"
    return SENTENCES.get(error["type"]) or error["msg"]


def one_author(user_id: int, staff_id: int) -> None:
    """Of what is said or done in a case. Raises ApiError."""
    if user_id and staff_id:
        sentence = "is given beside the other"
        raise ApiError(
            400,
            "ambiguous_author",
            "Give user_id for the user or staff_id for a staff member, whoever it is, not both.",
            fields={"user_id": sentence, "staff_id": sentence},
        )
