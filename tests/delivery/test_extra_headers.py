"""Headers that a channel adds to its webhooks: which are taken, and that they arrive as they were given."""

from pathlib import Path

import pytest
from delivering import LOOPBACK, ZONE, Desk, open_database
from hypothesis import given
from hypothesis import strategies as st
from webhook_receiver import Receiver

from kanal.delivery import kept_headers
from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.extra_headers import MAX_HEADERS, problems
from kanal.delivery.ledger import read_lanes
from kanal.delivery.ping import Pinger
from kanal.delivery.post import WebhookClient
from kanal.domain import channels
from kanal.domain.webhook_options import Header

UNUSUAL = {"Authorization": "Basic YTpi", "x-a_b!": 'two  words\tand "more"; q=0.1, x', "X-Z": "0"}


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "a:", "é", "a\r\nb", "x" * 101),
        *("Host", "CONTENT-LENGTH", "content-type", "Transfer-Encoding", "connection", "TE"),
        *("Webhook-Signature", "webhook-x", "KANAL-Sequence", "Proxy-Authorization", "User-Agent"),
    ],
)
def test_names_that_are_no_tokens_or_not_a_channels_to_set_are_refused(name: str) -> None:
    assert len(problems({name: "x"})) == 1


@pytest.mark.parametrize(
    "value", ["", " a", "a ", "a\r\nX: b", "a\nb", "a\rb", "a\0b", "é", "a\x7fb", "x" * 2001]
)
def test_values_that_servers_read_differently_are_refused_and_not_repeated(value: str) -> None:
    [problem] = problems({"X-Token": value})
    assert problem.startswith("the value of 'X-Token' must be")
    assert len(value) < 3 or value not in problem


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {"Host": "", "x-a": "1", "X-A": "2"} | {f"X-{n}": "1" for n in range(MAX_HEADERS)}
    assert len(problems(wrong)) == 4
    assert problems(UNUSUAL) == []
    assert len(problems({f"X-{n}": "y" * 1900 for n in range(4)})) == 1


# Of what could break a line or a name, and what could not, so that many are taken and many are not.
SPELLED = st.text(st.sampled_from('aZ0-_!;:"\r\n\t \0\x7f\x85é'), max_size=6)


@given(st.dictionaries(SPELLED, SPELLED, max_size=2))
def test_nothing_that_is_taken_could_end_a_line_or_be_another_header(
    headers: dict[str, str],
) -> None:
    if problems(headers):
        return
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    read = [line.partition(": ")[::2] for line in lines.encode("ascii").decode().splitlines()]
    assert read == list(headers.items())
    assert all(value == value.strip() for value in headers.values())


async def test_they_arrive_with_messages_and_pings_and_are_never_shown(
    database_url: str, data_dir: Path
) -> None:
    async with Desk(open_database(database_url, data_dir)) as desk, Receiver() as receiver:
        named = tuple(Header(name, "f") for name in UNUSUAL)
        channel_id = await desk.channel(receiver.url, headers=named)
        await desk.writer.run(lambda each: kept_headers.keep(each, channel_id, UNUSUAL))
        case_id = await desk.case(channel_id)
        async with desk.sending():
            await desk.say(case_id, "Hello")
            [message] = await receiver.wait_for(1)
            await desk.until_delivered()
        [claimed] = await desk.database.read(read_lanes, [channel_id])
        async with WebhookClient(AddressGuard(LOOPBACK), version="1") as client:
            exchange = await Pinger(client, ZONE, 5.0).ping(claimed)
        ping = receiver.received[1]
        for request in (message, ping):
            lowered = {name.lower(): value for name, value in UNUSUAL.items()}
            assert request.headers.items() >= lowered.items()
        assert {exchange.headers[name] for name in UNUSUAL} == {"***"}
        # Without the option nothing is read, whatever is kept.
        await desk.do(channels.change_channel, channel_id=channel_id, webhook={"headers": ()})
        [claimed] = await desk.database.read(read_lanes, [channel_id])
        assert claimed.headers == {}
