"""What the log, the ledger and the receiver say after a sender ran in this process, for the invariants."""

import time
from collections import defaultdict
from typing import Any

from delivering import Desk
from invariants import Attempt, Delivery, Evidence, Message
from sqlalchemy import select
from webhook_receiver import Receiver

from kanal.delivery.schedule import SECOND
from kanal.domain.case_events import MessageAdded
from kanal.eventlog.tables import channel_secrets


async def evidence_of(desk: Desk, receiver: Receiver, **circumstances: Any) -> Evidence:
    """For the invariants. Each message was written and answered. `circumstances`: fields of Evidence."""

    def secrets(connection: Any) -> dict[int, list[str]]:
        kept: dict[int, list[str]] = defaultdict(list)
        for row in connection.execute(select(channel_secrets)):
            kept[row.channel_id].append(row.secret)
        return kept

    log = [
        Message(each.event.message_id, each.event.case_id, each.event.channel_id)
        for each in desk.database.events_after(0)
        if isinstance(each.event, MessageAdded) and each.event.kind != "user_message"
    ]
    made: dict[str, list[Attempt]] = defaultdict(list)
    for row in sorted(await desk.attempts(), key=lambda row: row["number"]):
        ended_at = row["ended_at"] and row["ended_at"] / SECOND
        outcome = row["number"], row["started_at"] / SECOND, ended_at
        made[row["delivery_id"]].append(Attempt(*outcome, row["outcome_class"], row["http_status"]))
    names = ("delivery_id", "message_id", "case_id", "channel_id", "sequence", "state", "reason")
    return Evidence(
        written=[message.message_id for message in log],
        log=log,
        deliveries=[
            Delivery(
                *(row[name] for name in names), row["attempts"], tuple(made[row["delivery_id"]])
            )
            for row in await desk.deliveries()
        ],
        received=receiver.received,
        wall=time.time() - time.monotonic(),
        secrets=await desk.database.read(secrets),
        **circumstances,
    )
