"""Secrets change while webhooks go out: each receipt can be verified with what its receiver knew at that moment."""

import base64
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from delivering import Desk, open_database
from sqlalchemy import Connection
from standardwebhooks import Webhook, WebhookVerificationError
from webhook_receiver import Received, Receiver

from kanal.delivery import kept_secrets
from kanal.delivery.signing import new_secret, public_key
from kanal.domain import channels
from kanal.domain.channels import MadeSecret

MESSAGES = 60
HOUR = 3_600_000_000


def verifies(secret: str, request: Received) -> bool:
    try:
        Webhook(secret).verify(request.body, request.headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


async def rotate(desk: Desk, channel_id: int, grace: int) -> str:
    secret = new_secret()

    def keep(connection: Connection, made: MadeSecret) -> None:
        until = made.others_expire_at
        kept_secrets.keep(connection, channel_id, secret, made.made_at, others_expire_at=until)

    command = partial(
        channels.make_secret, channel_id=channel_id, fingerprint=secret[-8:], grace=grace
    )
    await desk.writer.submit(command, who="staff:1", origin="api", request="test", beside=keep)
    return secret


async def test_under_load_every_receipt_verifies_with_the_old_or_the_new_secret(
    database_url: str, data_dir: Path
) -> None:
    async with Desk(open_database(database_url, data_dir)) as desk, Receiver() as receiver:
        channel_id = await desk.channel(receiver.url)
        cases = [await desk.case(channel_id) for _ in range(4)]

        def secrets(connection: Connection) -> list[str]:
            return [each.secret for each in kept_secrets.read(connection, [channel_id])[channel_id]]

        [known] = await desk.database.read(secrets)
        generations = [known]
        async with desk.sending():
            for number in range(MESSAGES):
                await desk.say(cases[number % 4], str(number))
                if number % 20 == 10:
                    generations.append(await rotate(desk, channel_id, HOUR))
            await receiver.wait_for(MESSAGES)
            # The last one stops the others at once.
            newest = await rotate(desk, channel_id, 0)
            await desk.until_delivered()
            sender_knows = len(receiver.received)
            await desk.say(cases[0], "after")
            await receiver.wait_for(sender_knows + 1)
    *under_load, after = receiver.received
    for request in under_load:
        signing = [each for each in generations if verifies(each, request)]
        # Each has what was newest when it was sent and, within their hour, all that were before it.
        assert signing == generations[: len(signing)] != []
    assert len([each for each in generations if verifies(each, under_load[-1])]) == 4
    assert verifies(newest, after)
    assert not any(verifies(each, after) for each in generations)


async def test_a_key_signs_beside_the_secret_where_the_channel_asks_for_it(data_dir: Path) -> None:
    async with Desk(open_database("", data_dir)) as desk, Receiver() as receiver:
        channel_id = await desk.channel(receiver.url)
        case_id = await desk.case(channel_id)
        async with desk.sending():
            await desk.say(case_id, "one")
            await receiver.wait_for(1)
            await desk.until_delivered()
            change = {"channel_id": channel_id, "webhook": {"signature": "v1a"}}
            await desk.do(channels.change_channel, **change)

            async def has_both() -> bool:
                # What was under way when the option changed is signed as before.
                await desk.say(case_id, "two")
                return " " in receiver.received[-1].headers["webhook-signature"]

            await desk.until(has_both)
            plain, both = receiver.received[0], receiver.received[-1]

        def key(connection: Connection) -> str:
            return public_key(
                kept_secrets.read(connection, [channel_id])[channel_id][0].private_key
            )

        public = base64.b64decode((await desk.database.read(key)).removeprefix("whpk_"))
    assert plain.headers["webhook-signature"].startswith("v1,")
    assert " " not in plain.headers["webhook-signature"]
    v1, v1a = both.headers["webhook-signature"].split(" ")
    assert (v1[:3], v1a[:4]) == ("v1,", "v1a,")
    signed = f"{both.headers['webhook-id']}.{both.headers['webhook-timestamp']}.".encode()
    signature = base64.b64decode(v1a[4:])
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed + both.body)
