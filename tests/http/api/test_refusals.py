"""Bad input: each gets its status and code and writes nothing. The table is the rule; docs/api.md lists the codes."""

import gzip
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from served_api import CONTENT, EMAIL, KEY, Answer, Api

from kanal.http.body import MAX_PLAIN

MB = 1024 * 1024
USER = {"user_custom_id": "u1", "channel": "cch1"}
NEW_CASE = {**USER, **CONTENT}
CHANNEL = {
    "title": "App",
    "webhook_url": "https://example.com/hook",
    "channel_type": "async",
}
UNKNOWN_NUMBER = "123-456789"


class Refused(NamedTuple):
    method: str
    path: str
    body: Any
    status: int
    code: str


def case(status: int, code: str, /, **fields: Any) -> Refused:
    return Refused("POST", "cases.json", {"case": {**NEW_CASE, **fields}}, status, code)


def message(status: int, code: str, /, **fields: Any) -> Refused:
    body = {"message": {**CONTENT, **fields}}
    return Refused("POST", "cases/1/messages.json", body, status, code)


def note(status: int, code: str, /, **fields: Any) -> Refused:
    return Refused("POST", "cases/1/note.json", {"note": {**CONTENT, **fields}}, status, code)


def changed(status: int, code: str, /, **fields: Any) -> Refused:
    return Refused("PUT", "cases/1.json", {"case": fields}, status, code)


def user(status: int, code: str, /, **fields: Any) -> Refused:
    return Refused("POST", "users.json", {"user": fields}, status, code)


def channel(status: int, code: str, /, **fields: Any) -> Refused:
    body = {"custom_channel": {**CHANNEL, **fields}}
    return Refused("POST", "custom_channels.json", body, status, code)


def staff(status: int, code: str, /, **fields: Any) -> Refused:
    return Refused("POST", "staff.json", {"staff": fields}, status, code)


def read(status: int, code: str, path: str) -> Refused:
    return Refused("GET", path, None, status, code)


CASES = [
    case(404, "channel_not_found", channel="cch77"),
    case(404, "channel_not_found", channel="cch"),
    case(404, "channel_not_found", channel="cch0"),
    case(404, "channel_not_found", channel="cch01"),
    case(404, "channel_not_found", channel="cch1 "),
    case(404, "channel_not_found", channel="cch99999999999999999999"),
    case(400, "incorrect_channel", channel="CCH1"),
    case(400, "incorrect_channel", channel="1"),
    case(400, "incorrect_channel", channel="pigeon"),
    case(400, "channel_disabled", channel="cch2"),
    case(400, "channel_deleted", channel="cch3"),
    case(400, "channel_required", channel=None),
    case(400, "channel_required", channel="email"),
    case(400, "user_custom_id_required", user_custom_id=None),
    case(400, "user_custom_id_required", user_custom_id="", user_email="a@example.com"),
    case(400, "user_identity_required", user_custom_id=None, channel=None),
    case(400, "user_identity_required", user_custom_id=None, channel="telegram"),
    case(400, "content_required", content=None),
    case(400, "content_required", content="", content_html=""),
    case(400, "content_required", content=[]),
    case(400, "content_too_long", content="x" * (MB + 1)),
    case(400, "content_too_long", content="я" * (MB // 2 + 1)),
    case(400, "content_too_long", content_html="x" * (MB + 1)),
    case(400, "too_long", subject="x" * 256),
    case(400, "too_long", user_custom_id="x" * 256),
    case(400, "too_long", user_full_name="x" * 256),
    case(400, "incorrect_user_email", user_email="not an address"),
    case(400, "incorrect_user_email", user_email=["a@example.com"]),
    case(400, "incorrect_user_phone", user_phone="call me"),
    case(400, "incorrect_user_phone", user_phone="1"),
    case(400, "incorrect_status", status="done"),
    case(400, "incorrect_priority", priority="urgent"),
    case(404, "staff_not_found", staff_id=77),
    case(400, "staff_not_active", staff_id=2),
    case(404, "group_not_found", group_id=77),
    case(400, "invalid_parameters", content={"text": "x"}),
    case(400, "invalid_parameters", content=True),
    case(400, "invalid_parameters", content=1.5),
    case(400, "invalid_parameters", user_custom_id=["u1"]),
    case(400, "invalid_parameters", user_custom_id={"id": 1}),
    case(400, "invalid_parameters", staff_id="Bob"),
    case(400, "invalid_parameters", staff_id=-1),
    case(400, "invalid_parameters", group_id=2**63),
    case(400, "invalid_parameters", group_id=1.5),
    Refused("POST", "cases.json", {}, 400, "invalid_parameters"),
    Refused("POST", "cases.json", {"case": "x"}, 400, "invalid_parameters"),
    Refused("POST", "cases.json", NEW_CASE, 400, "invalid_parameters"),
    changed(400, "incorrect_status", status="done"),
    changed(400, "incorrect_priority", priority=5),
    changed(400, "too_long", subject="x" * 256),
    changed(404, "staff_not_found", staff_id=77),
    changed(400, "staff_not_active", status="closed", staff_id=2),
    changed(404, "group_not_found", status="closed", group_id=77),
]

MESSAGES = [
    message(404, "user_not_found", user_id=77),
    message(404, "user_not_found", user_id=0),
    message(403, "user_has_not_access", user_id=2),
    message(404, "staff_not_found", staff_id=77),
    message(400, "staff_not_active", staff_id=2),
    message(400, "ambiguous_author", user_id=1, staff_id=1),
    message(400, "content_required", content=""),
    message(400, "content_required", content=None, content_html=None),
    message(400, "content_too_long", content="x" * (MB + 1)),
    message(400, "invalid_parameters", content=["x"]),
    message(400, "invalid_parameters", user_id="u1"),
    message(400, "invalid_parameters", user_id=-1),
    message(400, "send_at_not_allowed", user_id=1, send_at="2099-01-01 00:00:00"),
    message(400, "wrong_date", send_at="tomorrow"),
    message(400, "wrong_date", created_at="2099-01-01 00:00:00"),
    message(400, "wrong_date", created_at=["2014-01-01"]),
    message(400, "invalid_parameters", do_not_send_email="perhaps"),
    note(400, "wrong_date", created_at="2099-01-01 00:00:00"),
    note(400, "content_required", content=""),
    note(404, "staff_not_found", staff_id=77),
    note(400, "staff_not_active", staff_id=2),
    note(400, "content_too_long", content="x" * (MB + 1)),
    Refused("POST", "cases/1/messages.json", {}, 400, "invalid_parameters"),
    Refused("POST", "cases/1/messages.json", {"note": CONTENT}, 400, "invalid_parameters"),
]

LATER = [
    Refused("PUT", "cases/1/messages/1.json", {"message": {}}, 400, "content_required"),
    Refused("PUT", "cases/1/messages/1.json", {"message": None}, 400, "content_required"),
    Refused("PUT", "cases/1/messages/1.json", {"content": ["x"]}, 400, "invalid_parameters"),
    Refused("PUT", "cases/1/messages/1.json", {"content": "x" * (MB + 1)}, 400, "content_too_long"),
    Refused("PUT", "cases/1/messages/2.json", {"content": "x"}, 404, "message_not_found"),
    Refused("PUT", "cases/1/messages/x.json", {"content": "x"}, 404, "message_not_found"),
    Refused("PUT", "cases/1/note/1.json", {"content": "x"}, 404, "message_not_found"),
    Refused("PUT", "cases/3/messages/3.json", {"content": "x"}, 404, "case_not_found"),
    Refused("PUT", "cases/4/messages/4.json", {"content": "x"}, 404, "case_not_found"),
    Refused("DELETE", "cases/1/messages/77.json", None, 404, "message_not_found"),
    Refused("DELETE", "cases/1/note/1.json", None, 404, "message_not_found"),
    Refused("DELETE", "cases/4/messages/4.json", None, 404, "case_not_found"),
    Refused("PUT", "cases/1/rate/1.json", {"rate": {}}, 400, "incorrect_rating"),
    Refused("PUT", "cases/1/rate/1.json", {"rate": {"rating": "5"}}, 400, "incorrect_rating"),
    Refused("PUT", "cases/1/rate/1.json", {"rating": "low"}, 400, "message_not_rateable"),
    Refused("PUT", "cases/1/rate/77.json", {"rating": "low"}, 404, "message_not_found"),
    Refused(
        "PUT",
        "cases/1/rate/1.json",
        {"rating": "low", "rating_comment": {"x": 1}},
        400,
        "invalid_parameters",
    ),
    case(400, "wrong_date", created_at="2099-01-01 00:00:00"),
]

UNKNOWN_CASES = [
    Refused(method, path.format(name), body, 404, "case_not_found")
    for name in ("77", "0", "-1", "x", "1,2", UNKNOWN_NUMBER, "9" * 30, "3", "4")
    for method, path, body in [
        ("POST", "cases/{}/messages.json", {"message": CONTENT}),
        ("POST", "cases/{}/note.json", {"note": CONTENT}),
    ]
] + [
    Refused(method, path.format(name), body, 404, "case_not_found")
    for name in ("77", "x", UNKNOWN_NUMBER, "4")
    for method, path, body in [
        ("GET", "cases/{}.json", None),
        ("GET", "cases/{}/messages.json", None),
        ("PUT", "cases/{}.json", {"case": {"status": "closed"}}),
        ("PUT", "cases/{}/trash.json", None),
        ("PUT", "cases/{}/spam.json", []),
        ("PUT", "cases/{}/restore.json", {}),
        ("DELETE", "cases/{}.json", None),
    ]
]
"""3 lies in the trash, where nobody writes; 4 is deleted for good."""

OTHERS = [
    user(400, "user_identity_required", user_full_name="Ann"),
    user(400, "user_identity_required", user_icq="ann"),
    user(400, "channel_required", user_custom_id="u1"),
    user(400, "user_custom_id_required", user_custom_channel="cch1", user_email="b@example.com"),
    user(404, "channel_not_found", user_custom_id="u9", user_custom_channel="cch77"),
    user(404, "channel_not_found", user_custom_id="u9", user_custom_channel="app"),
    user(400, "channel_disabled", user_custom_id="u9", user_custom_channel="cch2"),
    user(400, "user_custom_id_already_exist", user_custom_id="u1", user_custom_channel="cch1"),
    user(400, "wrong_email", user_email="@"),
    user(400, "wrong_phone", user_phone="x"),
    user(400, "invalid_parameters", user_email="b@example.com", language_id="ru"),
    Refused("PUT", "users/77.json", {"user": {"company_name": "X"}}, 404, "user_not_found"),
    Refused("PUT", "users/1.json", {"user": {"company_name": "x" * 256}}, 400, "too_long"),
    channel(400, "invalid_parameters", title=""),
    channel(400, "too_long", title="x" * 256),
    channel(400, "invalid_parameters", channel_type="carrier"),
    channel(400, "webhook_url_required", webhook_url=None),
    channel(400, "webhook_url_refused", webhook_url="http://127.0.0.1/hook"),
    channel(400, "webhook_url_refused", webhook_url="http://10.1.2.3/hook"),
    channel(400, "webhook_url_refused", webhook_url="http://[::1]/hook"),
    channel(400, "webhook_url_refused", webhook_url="http://169.254.169.254/latest"),
    channel(400, "webhook_url_refused", webhook_url="http://0x7f000001/hook"),
    channel(400, "webhook_url_refused", webhook_url="http://localhost/hook"),
    channel(400, "webhook_url_refused", webhook_url="ftp://example.com/hook"),
    channel(400, "webhook_url_refused", webhook_url="example.com"),
    channel(400, "webhook_url_refused", webhook_url="https://example.com/" + "x" * 2048),
    Refused(
        "PUT",
        "custom_channels/1.json",
        {"custom_channel": {"webhook_url": "http://192.168.0.1/"}},
        400,
        "webhook_url_refused",
    ),
    Refused("PUT", "custom_channels/77.json", {}, 404, "channel_not_found"),
    Refused("PUT", "custom_channels/3/enable.json", {}, 404, "channel_not_found"),
    Refused("DELETE", "custom_channels/x.json", None, 404, "channel_not_found"),
    staff(400, "invalid_parameters", staff_full_name="Bob"),
    staff(400, "wrong_email", staff_email="bob"),
    staff(400, "email_already_exist", staff_email=EMAIL.upper()),
    staff(400, "invalid_parameters", staff_email="c@example.com", role="boss"),
    Refused("PUT", "staff/77/disable.json", None, 404, "staff_not_found"),
    Refused("POST", "staff/77/keys.json", {}, 404, "staff_not_found"),
    Refused("DELETE", "staff/1/keys/77.json", None, 404, "key_not_found"),
    Refused("DELETE", "staff/1/keys/x.json", None, 404, "key_not_found"),
    Refused("POST", "groups.json", {"group": {}}, 400, "invalid_parameters"),
    Refused("POST", "groups.json", {"group": {"group_title": "x" * 256}}, 400, "too_long"),
]

READS = [
    read(404, "user_not_found", "users/77.json"),
    read(404, "user_not_found", "users/u1.json"),
    read(404, "staff_not_found", "staff/77.json"),
    read(404, "group_not_found", "groups/77.json"),
    read(404, "channel_not_found", "custom_channels/cch77.json"),
    read(404, "channel_not_found", "custom_channels/3.json"),
    read(400, "invalid_parameters", "cases.json?page=x"),
    read(400, "invalid_parameters", "cases.json?status=done"),
    read(400, "invalid_parameters", "cases.json?sort=best"),
    read(400, "invalid_parameters", "cases.json?user_id=u1"),
    read(400, "wrong_date", "cases.json?from_time=yesterday"),
    read(400, "invalid_parameters", "cases/1/messages.json?order=up"),
    read(400, "invalid_parameters", "users.json?user_custom_channel=app"),
    read(400, "invalid_parameters", "events.json?after=x"),
    read(400, "invalid_parameters", "events.json?channel=app"),
    read(404, "case_not_found", "events.json?case=x"),
    read(400, "invalid_encoding", "cases.json?subject=%FF"),
    read(404, "path_not_found", "tickets.json"),
    read(404, "path_not_found", ""),
    read(405, "method_not_allowed", "cases/1/note.json"),
    Refused("PATCH", "cases/1.json", {}, 405, "method_not_allowed"),
]


async def fill(api: Api) -> None:
    """Channels 1, 2 (disabled), 3 (deleted); users 1, 2; cases 1, 2, 3 (trash), 4 (deleted); staff 2 is disabled."""
    for _ in range(3):
        await api.channel()
    await api.case()
    await api.case(user_custom_id="u2")
    await api.case()
    await api.case()
    await api.put("custom_channels/2/disable.json")
    await api.call("DELETE", "custom_channels/3.json")
    await api.put("cases/3/trash.json")
    await api.call("DELETE", "cases/4.json")
    await api.post("staff.json", {"staff": {"staff_email": "bob@example.com"}})
    await api.put("staff/2/disable.json")


@pytest.mark.parametrize(
    "table",
    [CASES, MESSAGES, LATER, UNKNOWN_CASES, OTHERS, READS],
    ids=["cases", "messages", "later", "unknown cases", "others", "reads"],
)
async def test_bad_input_gets_its_code_and_writes_nothing(
    api: Api, table: Sequence[Refused]
) -> None:
    await fill(api)
    head = api.head()
    for wanted in table:
        answer = await api.call(wanted.method, wanted.path, wanted.body)
        assert answer.refusal == (wanted.status, wanted.code), (str(wanted)[:300], answer.text)
        assert answer.headers["Content-Type"] == "application/json"
        assert api.head() == head, str(wanted)[:300]


async def test_all_wrong_fields_are_named_at_once(api: Api) -> None:
    await api.channel()
    wrong = {**NEW_CASE, "subject": "x" * 256, "staff_id": "Bob", "status": "done"}
    answer = await api.call("POST", "cases.json", {"case": wrong})
    assert list(answer.json["fields"]) == ["subject", "staff_id", "status"]
    for given, fields in (
        (
            {"user_viber": " ", "user_whatsapp_phone": "call me"},
            ["user_whatsapp_phone", "user_viber"],
        ),
        ({"user_custom_id": None}, ["user_custom_id"]),
        ({"channel": None}, ["channel"]),
    ):
        answer = await api.call("POST", "cases.json", {"case": {**NEW_CASE, **given}})
        assert list(answer.json["fields"]) == fields
    await api.case()
    both = {"message": {"content": "x", "user_id": 1, "staff_id": 1}}
    answer = await api.call("POST", "cases/1/messages.json", both)
    assert list(answer.json["fields"]) == ["user_id", "staff_id"]


RAW: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("cut JSON", b'{"message": {"content": "x"', {}, 400, "malformed_json"),
    ("a list", b"[1]", {}, 400, "malformed_json"),
    ("not UTF-8", b'{"message": {"content": "\xff"}}', {}, 400, "invalid_encoding"),
    ("half a pair", b'{"message": {"content": "\\ud83d"}}', {}, 400, "malformed_json"),
    ("U+0000", b'{"message": {"content": "\\u0000"}}', {}, 400, "invalid_character"),
    ("twice", b'{"message": {"content": "a", "content": "b"}}', {}, 400, "duplicate_key"),
    ("too deep", b'{"message": ' + b"[" * 99 + b"]" * 99 + b"}", {}, 400, "too_deep"),
    ("too large", b" " * (MAX_PLAIN + 1), {}, 413, "body_too_large"),
    ("broken gzip", b"no gzip", {"Content-Encoding": "gzip"}, 400, "malformed_body"),
    ("packed too large", b"", {"Content-Encoding": "gzip"}, 413, "body_too_large"),
    ("unknown coding", b"{}", {"Content-Encoding": "snail"}, 415, "unsupported_content_encoding"),
    (
        "unknown charset",
        b"{}",
        {"Content-Type": "application/json; charset=klingon"},
        415,
        "unsupported_charset",
    ),
    ("a picture", b"\x89PNG", {"Content-Type": "image/png"}, 415, "unsupported_media_type"),
    (
        "no boundary",
        b"--x",
        {"Content-Type": "multipart/form-data"},
        400,
        "malformed_multipart",
    ),
    ("empty", b"", {}, 400, "invalid_parameters"),
]


async def test_a_body_that_cannot_be_read_is_refused(api: Api) -> None:
    await fill(api)
    head = api.head()
    for name, body, headers, status, code in RAW:
        data = gzip.compress(b" " * (MAX_PLAIN + 1)) if name == "packed too large" else body
        answer = await api.raw("cases/1/messages.json", data, headers)
        assert answer.refusal == (status, code), (name, answer.text)
        assert api.head() == head


@pytest.mark.parametrize(
    ("email", "key"), [(EMAIL, "wrong"), ("other@example.com", KEY), (EMAIL, "")]
)
async def test_a_wrong_key_is_unauthorized(api: Api, email: str, key: str) -> None:
    head = api.head()
    async with api.as_staff(email, key) as stranger:
        for method, path in [("GET", "cases.json"), ("POST", "groups.json")]:
            answer: Answer = await stranger.call(method, path)
            assert answer.refusal == (401, "unauthorized")
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert api.head() == head


async def test_without_a_key_every_call_is_unauthorized(api: Api) -> None:
    for header in ("Bearer x", "Basic", "Basic !", "Basic eA==", ""):
        answer = await api.call("GET", "cases.json", headers={"Authorization": header})
        assert answer.refusal == (401, "unauthorized"), header
