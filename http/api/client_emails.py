"""/api/client_emails: the addresses at which an account's users write to it."""

from functools import partial

from aiohttp import web
from msgspec import Struct

from kanal.domain.client_emails import (
    add_client_email,
    change_client_email,
    remove_client_email,
)
from kanal.domain.errors import ClientEmailNotFound
from kanal.http.answers import answer, empty, listing
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.fields import Email, Fields, Flag, Paging
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import client_emails as read
from kanal.projections.client_emails import ClientEmailRow

WRAPPER = "client_emails"
"""Omnidesk's, also of one."""


class NewClientEmail(Fields):
    email: Email
    active: Flag = True


class ClientEmailChanges(Fields):
    email: Email | None = None
    active: Flag | None = None


class ClientEmailAnswer(Struct):
    email_id: int
    email: str
    active: bool


def _takes(model: type[Fields]) -> Takes:
    return Takes(WRAPPER, model, others=("client_email",), bare=True)


@contract("List the account's e-mail addresses", Listed(WRAPPER, ClientEmailAnswer), query=Paging)
async def list_client_emails(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(call.asked(Paging)))
    return answer(listing(WRAPPER, map(shown, found.rows), found.total))


@contract(
    "Add an e-mail address of the account",
    One(WRAPPER, ClientEmailAnswer, 201),
    body=_takes(NewClientEmail),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewClientEmail)
    done = await call.submit(partial(add_client_email, email=given.email, active=given.active))
    return await _answer(call, done.result, 201)


@contract(
    "Change an e-mail address of the account",
    One(WRAPPER, ClientEmailAnswer),
    body=_takes(ClientEmailChanges),
)
async def change(call: Call) -> web.Response:
    email_id = _email_id(call)
    given = await call.given(ClientEmailChanges)
    await call.submit(partial(change_client_email, email_id=email_id, **given.given()))
    return await _answer(call, email_id)


@contract("Remove an e-mail address of the account", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(remove_client_email, email_id=_email_id(call)))
    return empty()


def shown(row: ClientEmailRow) -> ClientEmailAnswer:
    return ClientEmailAnswer(email_id=row.email_id, email=row.email, active=row.active)


def _email_id(call: Call) -> int:
    return id_in(call.path("email"), ClientEmailNotFound)


async def _answer(call: Call, email_id: int, status: int = 200) -> web.Response:
    row = await call.read(read.find, email_id)
    if row is None:
        raise ClientEmailNotFound(email_id)
    return answer({WRAPPER: shown(row)}, status)
