"""The table of pages: method, path, handler, and the right that it needs. Below it stand those for everybody."""

from typing import NamedTuple

from aiohttp import web

from kanal.domain.roles import Right
from kanal.http.context import CONTEXT
from kanal.http.middleware import JOIN
from kanal.http.pages import (
    account,
    channels,
    conversation,
    inbox,
    live,
    people,
    settings_index,
    sign_in,
    staff,
    system,
)
from kanal.http.pages.gate import Handler, guarded
from kanal.http.pages.rendering import serve_static
from kanal.http.pages.visit import redirect, root_of
from kanal.http.pages.workspace import WORKSPACE, Workspace


class Page(NamedTuple):
    method: str
    path: str
    handler: Handler
    right: Right


PAGES = (
    Page("GET", "/inbox", inbox.show, Right.SEE),
    Page("POST", "/inbox/change", inbox.change, Right.ANSWER),
    Page("GET", "/cases/{case}", conversation.show, Right.SEE),
    Page("POST", "/cases/{case}/say", conversation.say, Right.ANSWER),
    Page("POST", "/cases/{case}/change", conversation.change, Right.ANSWER),
    Page("POST", "/cases/{case}/macro", conversation.apply_macro, Right.ANSWER),
    Page("POST", "/cases/{case}/draft", conversation.keep_draft, Right.ANSWER),
    Page("POST", "/cases/{case}/typing", conversation.tell_typing, Right.ANSWER),
    Page("POST", "/cases/{case}/chat", conversation.change_chat, Right.ANSWER),
    Page("GET", "/cases/{case}/messages/{message}/why", conversation.why, Right.SEE),
    Page("POST", "/deliveries/{delivery}/retry", channels.retry, Right.MANAGE_DELIVERIES),
    Page("POST", "/people/{user}/block", people.block, Right.ANSWER),
    Page("POST", "/people/{user}/restore", people.restore, Right.ANSWER),
    Page("GET", "/live", live.follow, Right.SEE),
    Page("GET", "/settings", settings_index.show, Right.SEE),
    Page("GET", "/channels", channels.show_all, Right.SEE),
    Page("POST", "/channels", channels.create, Right.MANAGE_CHANNELS),
    Page("GET", "/channels/new", channels.form, Right.MANAGE_CHANNELS),
    Page("GET", "/channels/{channel}", channels.show, Right.SEE),
    Page("POST", "/channels/{channel}", channels.change, Right.MANAGE_CHANNEL),
    Page("POST", "/channels/{channel}/state", channels.change_state, Right.MANAGE_CHANNEL),
    Page("POST", "/channels/{channel}/test", channels.test, Right.MANAGE_CHANNEL),
    Page("GET", "/deliveries/{delivery}", channels.show_delivery, Right.SEE_DELIVERIES),
    Page("GET", "/staff", staff.show_all, Right.SEE),
    Page("POST", "/staff", staff.create, Right.MANAGE_STAFF),
    Page("POST", "/staff/{staff}/invitation", staff.invite, Right.MANAGE_STAFF),
    Page("POST", "/staff/{staff}/state", staff.change_state, Right.MANAGE_STAFF),
    Page("GET", "/account", account.show, Right.SEE),
    Page("POST", "/account", account.change, Right.SEE),
    Page("POST", "/account/password", account.change_password, Right.SEE),
    Page("POST", "/account/sessions", account.end_session, Right.SEE),
    Page("POST", "/sign-out", sign_in.sign_out, Right.SEE),
    Page("GET", "/system", system.show, Right.AUDIT),
)


def add_pages(app: web.Application, workspace: Workspace) -> None:
    app[WORKSPACE] = workspace
    for page in PAGES:
        path = page.path.replace("}", r":[^/]+}")
        app.router.add_route(page.method, path, guarded(page.handler, page.right))
    app.router.add_get("/", _home)
    app.router.add_get("/sign-in", sign_in.form)
    app.router.add_post("/sign-in", sign_in.sign_in)
    app.router.add_get(JOIN + "{token}", sign_in.joining)
    app.router.add_post(JOIN + "{token}", sign_in.join)
    app.router.add_get("/static/{digest}/{name}", serve_static)


async def _home(request: web.Request) -> web.StreamResponse:
    return redirect(root_of(request.app[CONTEXT]) + sign_in.HOME)
