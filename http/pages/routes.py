"""The table of pages: method, path, handler, and the right that it needs. Below it stand those for everybody."""

from typing import NamedTuple

from aiohttp import web

from kanal.domain.roles import Right
from kanal.http.context import CONTEXT
from kanal.http.middleware import JOIN
from kanal.http.pages import (
    account,
    audit,
    business_hours,
    channel_settings,
    channels,
    conversation,
    custom_fields,
    deliveries,
    filters,
    groups,
    inbox,
    keys,
    labels,
    live,
    macros,
    new_case,
    past,
    people,
    response_targets,
    rights,
    rule_webhooks,
    rules,
    second_step,
    settings_index,
    sign_in,
    staff,
    start,
    statistics,
    system,
    what_if,
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
    Page("GET", "/cases/new", new_case.form, Right.ANSWER),
    Page("POST", "/cases/new", new_case.begin, Right.ANSWER),
    Page("POST", "/cases/new/draft", new_case.keep_draft, Right.ANSWER),
    Page("GET", "/cases/{case}", conversation.show, Right.SEE),
    Page("POST", "/cases/{case}/say", conversation.say, Right.ANSWER),
    Page("POST", "/cases/{case}/change", conversation.change, Right.ANSWER),
    Page("POST", "/cases/{case}/macro", conversation.apply_macro, Right.ANSWER),
    Page("POST", "/cases/{case}/draft", conversation.keep_draft, Right.ANSWER),
    Page("POST", "/cases/{case}/typing", conversation.tell_typing, Right.ANSWER),
    Page("POST", "/cases/{case}/chat", conversation.change_chat, Right.ANSWER),
    Page("POST", "/cases/{case}/messages/{message}/undo", conversation.undo, Right.ANSWER),
    Page("POST", "/cases/{case}/messages/{message}/send", conversation.send, Right.ANSWER),
    Page("GET", "/cases/{case}/messages/{message}/why", conversation.why, Right.SEE),
    Page("GET", "/cases/{case}/files/{file}/{name}", conversation.show_file, Right.SEE),
    Page("GET", "/cases/{case}/past", past.show, Right.SEE),
    Page("POST", "/people/{user}", people.change, Right.ANSWER),
    Page("GET", "/people/{user}/link", people.find_other, Right.ANSWER),
    Page("POST", "/people/{user}/link", people.link, Right.ANSWER),
    Page("POST", "/people/{user}/unlink", people.unlink, Right.ANSWER),
    Page("POST", "/people/{user}/block", people.block, Right.ANSWER),
    Page("POST", "/people/{user}/restore", people.restore, Right.ANSWER),
    Page("GET", "/live", live.follow, Right.SEE),
    Page("GET", "/statistics", statistics.show, Right.SEE_STATISTICS),
    Page("GET", "/statistics/{table}", statistics.as_csv, Right.SEE_STATISTICS),
    Page("GET", "/settings", settings_index.show, Right.SEE),
    Page("GET", "/channels", channels.show_all, Right.SEE),
    Page("POST", "/channels", channels.create, Right.MANAGE_CHANNELS),
    Page("GET", "/channels/new", channels.form, Right.MANAGE_CHANNELS),
    Page("GET", "/channels/{channel}", channels.show, Right.SEE),
    Page("GET", "/channels/{channel}/settings", channel_settings.show, Right.MANAGE_CHANNEL),
    Page("POST", "/channels/{channel}/settings", channel_settings.change, Right.MANAGE_CHANNEL),
    Page("POST", "/channels/{channel}/secrets", channel_settings.rotate, Right.MANAGE_CHANNEL),
    Page(
        "POST",
        "/channels/{channel}/secrets/revoke",
        channel_settings.revoke,
        Right.MANAGE_CHANNEL,
    ),
    Page(
        "POST", "/channels/{channel}/shadow", channel_settings.change_shadow, Right.MANAGE_CHANNEL
    ),
    Page("POST", "/channels/{channel}/delete", channel_settings.delete, Right.MANAGE_CHANNELS),
    Page("POST", "/channels/{channel}/state", channels.change_state, Right.MANAGE_CHANNEL),
    Page("POST", "/channels/{channel}/test", channels.test, Right.MANAGE_CHANNEL),
    Page("GET", "/deliveries", deliveries.show_all, Right.SEE_DELIVERIES),
    Page("GET", "/deliveries/replay", deliveries.replay_form, Right.MANAGE_DELIVERIES),
    Page("POST", "/deliveries/replay", deliveries.replay, Right.MANAGE_DELIVERIES),
    Page("GET", "/deliveries/{delivery}", deliveries.show, Right.SEE_DELIVERIES),
    Page("POST", "/deliveries/{delivery}/retry", deliveries.retry, Right.MANAGE_DELIVERIES),
    Page("POST", "/deliveries/{delivery}/hold", deliveries.hold, Right.MANAGE_DELIVERIES),
    Page("POST", "/deliveries/{delivery}/release", deliveries.release, Right.MANAGE_DELIVERIES),
    Page("POST", "/deliveries/{delivery}/skip", deliveries.skip, Right.MANAGE_DELIVERIES),
    Page("POST", "/deliveries/{delivery}/replay", deliveries.replay_one, Right.MANAGE_DELIVERIES),
    Page("GET", "/replays/{replay}", deliveries.show_replay, Right.SEE_DELIVERIES),
    Page("POST", "/replays/{replay}/cancel", deliveries.cancel_replay, Right.MANAGE_DELIVERIES),
    Page("GET", "/staff", staff.show_all, Right.SEE),
    Page("POST", "/staff", staff.create, Right.MANAGE_STAFF),
    Page("POST", "/staff/{staff}/invitation", staff.invite, Right.MANAGE_STAFF),
    Page(
        "POST",
        "/staff/{staff}/second-factor",
        second_step.turn_off_of_colleague,
        Right.MANAGE_STAFF,
    ),
    Page("POST", "/staff/{staff}/state", staff.change_state, Right.MANAGE_STAFF),
    Page("GET", "/rules", rules.show_all, Right.SEE),
    Page("POST", "/rules", rules.create, Right.MANAGE_RULES),
    Page("GET", "/rules/new", rules.form, Right.MANAGE_RULES),
    Page("POST", "/rules/order", rules.order, Right.MANAGE_RULES),
    Page("GET", "/rules/draft", rules.anew, Right.MANAGE_RULES),
    Page("POST", "/rules/draft", rules.redraw, Right.MANAGE_RULES),
    Page("GET", "/rules/test", rules.anew, Right.MANAGE_RULES),
    Page("POST", "/rules/test", rules.test, Right.MANAGE_RULES),
    Page("GET", "/rules/what_if", rules.anew, Right.MANAGE_RULES),
    Page("POST", "/rules/what_if", what_if.ask, Right.MANAGE_RULES),
    Page("GET", "/rules/{rule}", rules.show, Right.SEE),
    Page("POST", "/rules/{rule}", rules.change, Right.MANAGE_RULES),
    Page("GET", "/rules/{rule}/edit", rules.edit, Right.MANAGE_RULES),
    Page("POST", "/rules/{rule}/state", rules.change_state, Right.MANAGE_RULES),
    Page("GET", "/rules/{rule}/firings/{firing}", rules.firing, Right.SEE),
    Page(
        "POST",
        "/rules/{rule}/webhooks/{webhook}/secrets",
        rule_webhooks.rotate,
        Right.MANAGE_RULES,
    ),
    Page(
        "POST",
        "/rules/{rule}/webhooks/{webhook}/secrets/delete",
        rule_webhooks.revoke,
        Right.MANAGE_RULES,
    ),
    Page("POST", "/rules/{rule}/webhooks/{webhook}/test", rule_webhooks.test, Right.MANAGE_RULES),
    Page("GET", "/macros", macros.show_all, Right.SEE),
    Page("POST", "/macros", macros.create, Right.ANSWER),
    Page("GET", "/macros/new", macros.form, Right.ANSWER),
    Page("GET", "/macros/draft", macros.anew, Right.ANSWER),
    Page("POST", "/macros/draft", macros.redraw, Right.ANSWER),
    Page("GET", "/macros/{macro}", macros.edit, Right.ANSWER),
    Page("POST", "/macros/{macro}", macros.change, Right.ANSWER),
    Page("POST", "/macros/{macro}/delete", macros.delete, Right.ANSWER),
    Page("GET", "/filters", filters.show_all, Right.SEE),
    Page("POST", "/filters", filters.create, Right.SEE),
    Page("GET", "/filters/new", filters.form, Right.SEE),
    Page("GET", "/filters/{filter}", filters.edit, Right.SEE),
    Page("POST", "/filters/{filter}", filters.change, Right.SEE),
    Page("POST", "/filters/{filter}/delete", filters.delete, Right.SEE),
    Page("GET", "/labels", labels.show_all, Right.SEE),
    Page("POST", "/labels", labels.create, Right.ANSWER),
    Page("GET", "/labels/{label}", labels.edit, Right.ANSWER),
    Page("POST", "/labels/{label}", labels.change, Right.ANSWER),
    Page("POST", "/labels/{label}/delete", labels.delete, Right.MANAGE_FIELDS),
    Page("GET", "/fields", custom_fields.show_all, Right.SEE),
    Page("POST", "/fields", custom_fields.create, Right.MANAGE_FIELDS),
    Page("GET", "/fields/new", custom_fields.form, Right.MANAGE_FIELDS),
    Page("GET", "/fields/{field}", custom_fields.edit, Right.MANAGE_FIELDS),
    Page("POST", "/fields/{field}", custom_fields.change, Right.MANAGE_FIELDS),
    Page("POST", "/fields/{field}/state", custom_fields.change_state, Right.MANAGE_FIELDS),
    Page("GET", "/groups", groups.show_all, Right.SEE),
    Page("POST", "/groups", groups.create, Right.MANAGE_STAFF),
    Page("GET", "/groups/new", groups.form, Right.MANAGE_STAFF),
    Page("GET", "/groups/{group}", groups.edit, Right.MANAGE_STAFF),
    Page("POST", "/groups/{group}", groups.change, Right.MANAGE_STAFF),
    Page("POST", "/groups/{group}/state", groups.change_state, Right.MANAGE_STAFF),
    Page("GET", "/hours", business_hours.show_all, Right.SEE),
    Page("POST", "/hours", business_hours.create, Right.MANAGE_RULES),
    Page("GET", "/hours/new", business_hours.form, Right.MANAGE_RULES),
    Page("GET", "/hours/{hours}", business_hours.edit, Right.MANAGE_RULES),
    Page("POST", "/hours/{hours}", business_hours.change, Right.MANAGE_RULES),
    Page("POST", "/hours/{hours}/delete", business_hours.delete, Right.MANAGE_RULES),
    Page("GET", "/targets", response_targets.show_all, Right.SEE),
    Page("POST", "/targets", response_targets.create, Right.MANAGE_RULES),
    Page("GET", "/targets/new", response_targets.form, Right.MANAGE_RULES),
    Page("GET", "/targets/{target}", response_targets.edit, Right.MANAGE_RULES),
    Page("POST", "/targets/{target}", response_targets.change, Right.MANAGE_RULES),
    Page("POST", "/targets/{target}/delete", response_targets.delete, Right.MANAGE_RULES),
    Page("GET", "/account", account.show, Right.SEE),
    Page("POST", "/account", account.change, Right.SEE),
    Page("POST", "/account/alerts", account.change_alerts, Right.SEE),
    Page("POST", "/account/password", account.change_password, Right.SEE),
    Page("GET", "/account/second-factor", second_step.show, Right.SEE),
    Page("POST", "/account/second-factor", second_step.confirm, Right.SEE),
    Page("POST", "/account/second-factor/begin", second_step.begin, Right.SEE),
    Page("POST", "/account/second-factor/off", second_step.turn_off, Right.SEE),
    Page("POST", "/account/sessions", account.end_session, Right.SEE),
    Page("POST", "/sign-out", sign_in.sign_out, Right.SEE),
    Page("GET", "/access", rights.show_access, Right.MANAGE_STAFF),
    Page("POST", "/access/{staff}", rights.change_access, Right.MANAGE_STAFF),
    Page("GET", "/cases/{case}/viewers", rights.show_viewers, Right.MANAGE_STAFF),
    Page("GET", "/roles", rights.show_roles, Right.MANAGE_STAFF),
    Page("POST", "/roles", rights.create_role, Right.MANAGE_STAFF),
    Page("GET", "/roles/new", rights.new_role, Right.MANAGE_STAFF),
    Page("GET", "/roles/{role}", rights.show_role, Right.MANAGE_STAFF),
    Page("POST", "/roles/{role}", rights.change_role, Right.MANAGE_STAFF),
    Page("POST", "/roles/{role}/delete", rights.delete_role, Right.MANAGE_STAFF),
    Page("GET", "/keys", keys.show, Right.MANAGE_STAFF),
    Page("POST", "/keys", keys.create, Right.SEE),
    Page("POST", "/keys/{key}/revoke", keys.revoke, Right.SEE),
    Page("GET", "/audit", audit.show, Right.AUDIT),
    Page("GET", "/audit/{event}", audit.show_event, Right.AUDIT),
    Page("GET", "/start", start.show, Right.MANAGE_CHANNELS),
    Page("POST", "/start/channel", start.make, Right.MANAGE_CHANNELS),
    Page("POST", "/start/message", start.write, Right.ANSWER),
    Page("POST", "/start/test", start.ping, Right.MANAGE_CHANNELS),
    Page("POST", "/start/hide", start.hide, Right.MANAGE_CHANNELS),
    Page("GET", "/system", system.show, Right.AUDIT),
    Page("POST", "/system/rebuild", system.rebuild, system.REBUILDS),
)


def add_pages(app: web.Application, workspace: Workspace) -> None:
    app[WORKSPACE] = workspace
    for page in PAGES:
        path = page.path.replace("}", r":[^/]+}")
        app.router.add_route(page.method, path, guarded(page.handler, page.right))
    app.router.add_get("/", _home)
    app.router.add_get("/sign-in", sign_in.form)
    app.router.add_post("/sign-in", sign_in.sign_in)
    app.router.add_get("/sign-in/code", sign_in.code_form)
    app.router.add_post("/sign-in/code", sign_in.second_step)
    app.router.add_get(JOIN + "{token}", sign_in.joining)
    app.router.add_post(JOIN + "{token}", sign_in.join)
    app.router.add_get("/static/{digest}/{name}", serve_static)


async def _home(request: web.Request) -> web.StreamResponse:
    return redirect(root_of(request.app[CONTEXT]) + sign_in.HOME)
