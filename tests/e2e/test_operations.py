"""What an operator does: start, stop, rebuild, back up, restore; on a real process and real sockets."""

import stat
import zipfile
from pathlib import Path

import pytest
from kanal_process import EMAIL, Client, Kanal
from nursery import Nursery
from visiting import visitor
from webhook_receiver import Receiver

pytestmark = pytest.mark.timeout(180)  # a dozen processes start, on a machine that may be busy

CASE = {"user_custom_id": "u1", "channel": "cch1", "content": "Hello", "user_email": "a@b.example"}


async def fill(client: Client, url: str) -> None:
    """A channel, two cases, a conversation with a note."""
    channel = {"title": "App", "webhook_url": url, "channel_type": "async"}
    await client("POST", "custom_channels.json", {"custom_channel": channel})
    for _ in range(2):
        await client("POST", "cases.json", {"case": CASE})
    await client("POST", "cases/1/messages.json", {"message": {"content": "Ok!"}})
    await client("POST", "cases/1/note.json", {"note": {"content": "Called back"}})
    await client("PUT", "cases/2.json", {"case": {"status": "closed", "subject": "Привет"}})


async def everything(client: Client) -> list[str]:
    """The answers of all reading calls, byte for byte."""
    paths = [
        "cases.json",
        "cases/1.json",
        "cases/1/messages.json",
        "cases/2.json",
        "users.json",
        "users/1.json",
        "custom_channels.json",
        "staff.json",
        "groups.json",
        "events.json",
        "events.json?case_id=1",
    ]
    return [await client.text(path) for path in paths]


async def all_delivered(receiver: Receiver, count: int, client: Client) -> None:
    await receiver.wait_for(count)
    while (await client("GET", "deliveries.json?state=pending"))["total_count"]:
        pass


async def test_the_first_start_shows_the_administrator_once(
    data_dir: Path, database_url: str
) -> None:
    kanal = Kanal(data_dir, database_url, KANAL_ADMIN_API_KEY="", KANAL_ADMIN_EMAIL="")
    await kanal.start()
    try:
        assert "http://127.0.0.1:" in kanal.output
        lines = kanal.output.splitlines()
        [key_line] = [line for line in lines if "key" in line.lower()]
        [email_line] = [line for line in lines if "@" in line]
        key, email = key_line.split()[-1], email_line.split()[-1]
        async with kanal.client(email, key) as client:
            assert (await client("GET", "staff.json"))["total_count"] == 1
        assert await kanal.stop() == 0
        await kanal.start()
        async with kanal.client(email, key) as client:
            assert (await client("GET", "staff.json"))["total_count"] == 1
        await kanal.stop()
    finally:
        await kanal.kill()


async def test_health_readiness_and_metrics_answer(
    nursery: Nursery, data_dir: Path, database_url: str
) -> None:
    async with nursery.serving(data_dir, database_url) as kanal, kanal.client() as client:
        for path in ("healthz", "readyz", "metrics"):
            async with client._session.get(f"{kanal.address}/{path}") as response:
                assert response.status == 200, await response.text()


@pytest.mark.parametrize("while_serving", [True, False])
async def test_a_rebuild_changes_no_answer_and_sends_nothing(
    nursery: Nursery, data_dir: Path, database_url: str, while_serving: bool
) -> None:
    async with Receiver() as receiver, nursery.serving(data_dir, database_url) as kanal:
        async with kanal.client() as client:
            await fill(client, receiver.url)
            await all_delivered(receiver, 2, client)
            before = await everything(client)
        if not while_serving:
            await kanal.stop()
        code, output = await kanal.command("rebuild")
        assert code == 0, output
        assert "Rebuilt" in output
        if not while_serving:
            await kanal.start()
        async with kanal.client() as client:
            assert await everything(client) == before
            await client("POST", "cases/1/messages.json", {"message": {"content": "Later"}})
            await all_delivered(receiver, 3, client)
        assert len(receiver.received) == 3


async def test_a_backup_taken_while_serving_restores_into_either_database(
    nursery: Nursery, tmp_path: Path, database_url: str, postgres_url: str
) -> None:
    archive = tmp_path / "kanal.zip"
    async with Receiver() as receiver:
        async with (
            nursery.serving(tmp_path / "old", database_url) as kanal,
            kanal.client() as client,
        ):
            await fill(client, receiver.url)
            await all_delivered(receiver, 2, client)
            before = await everything(client)
            code, output = await kanal.command("backup", str(archive))
            assert code == 0, output
            assert stat.S_IMODE(archive.stat().st_mode) == 0o600
            await client("POST", "cases/1/messages.json", {"message": {"content": "After it"}})
            await all_delivered(receiver, 3, client)
        restored_url = "" if database_url else postgres_url
        restored = nursery.kanal(tmp_path / "new", restored_url)
        code, output = await restored.command("restore", str(archive))
        assert code == 0, output
        await restored.start()
        try:
            async with restored.client() as client:
                assert await everything(client) == before
                case = await client("POST", "cases.json", {"case": CASE})
                assert case["case"]["case_id"] == 3
                assert case["case"]["user_id"] == 1
                await client("POST", "cases/1/messages.json", {"message": {"content": "Again"}})
                await all_delivered(receiver, 4, client)
        finally:
            await restored.kill()
        [delivered] = [r for r in receiver.received if r.form["object[content]"] == "Again"]
        assert delivered.headers["webhook-id"]


async def test_a_backup_is_refused_over_a_file_and_a_restore_into_a_used_installation(
    nursery: Nursery, data_dir: Path
) -> None:
    async with nursery.serving(data_dir / "one") as kanal:
        archive = str(data_dir / "kanal.zip")
        assert (await kanal.command("backup", archive))[0] == 0
        code, output = await kanal.command("backup", archive)
        assert (code, "exists already" in output) == (1, True)
        await kanal.stop()
        code, output = await kanal.command("restore", archive)
        assert (code, "has events already" in output) == (1, True)


async def test_a_damaged_backup_is_refused_and_leaves_nothing(
    nursery: Nursery, data_dir: Path
) -> None:
    async with nursery.serving(data_dir / "one") as kanal:
        archive = data_dir / "kanal.zip"
        assert (await kanal.command("backup", str(archive)))[0] == 0
    with zipfile.ZipFile(archive) as whole:
        events = whole.getinfo("events.jsonl")
    damaged = bytearray(archive.read_bytes())
    damaged[events.header_offset + 30 + len(events.filename) + 100] ^= 0xFF
    archive.write_bytes(damaged)
    fresh = nursery.kanal(data_dir / "two")
    code, output = await fresh.command("restore", str(archive))
    assert code == 1, output
    assert "Traceback" not in output
    await fresh.start()
    await fresh.kill()


async def test_two_processes_cannot_own_one_data_directory(
    nursery: Nursery, data_dir: Path
) -> None:
    async with nursery.serving(data_dir) as kanal:
        code, output = await kanal.command("serve")
        assert code == 1
        assert "in use by another Kanal process" in output


async def test_who_cannot_sign_in_gets_a_new_password_from_the_command(
    nursery: Nursery, data_dir: Path
) -> None:
    async with nursery.serving(data_dir) as kanal:
        code, output = await kanal.command("staff", "reset-password", EMAIL.upper())
        assert code == 0, output
        async with visitor(kanal.address) as anna:
            seen = await anna.sign_in(EMAIL, output.rpartition(": ")[2].strip())
            assert seen.path == "/start"
        code, output = await kanal.command("staff", "reset-password", "nobody@example.com")
        assert (code, "no active staff member" in output) == (1, True)
        code, output = await kanal.command("staff", "new-key", EMAIL)
        assert code == 0, output
        async with kanal.client(key=output.strip()) as client:
            assert (await client("GET", "staff.json"))["total_count"] == 1


async def test_a_wrong_setting_is_one_readable_line(data_dir: Path) -> None:
    kanal = Kanal(data_dir, KANAL_TIMEZONE="Mars/Olympus")
    code, output = await kanal.command("serve")
    assert code == 1
    assert "KANAL_TIMEZONE" in output
    assert "Traceback" not in output


async def test_the_command_tells_its_version_and_help(data_dir: Path) -> None:
    kanal = Kanal(data_dir)
    assert (await kanal.command("--version"))[0] == 0
    code, output = await kanal.command("--help")
    assert code == 0
    for name in ("serve", "rebuild", "migrate", "backup", "restore", "recover-deliveries"):
        assert name in output


async def test_a_backup_without_its_deliveries_sends_nothing_before_somebody_decides(
    nursery: Nursery, tmp_path: Path, database_url: str
) -> None:
    archive, partial = tmp_path / "kanal.zip", tmp_path / "partial.zip"
    async with Receiver() as receiver:
        async with nursery.serving(tmp_path / "old") as kanal, kanal.client() as client:
            await fill(client, receiver.url)
            await all_delivered(receiver, 2, client)
            assert (await kanal.command("backup", str(archive)))[0] == 0
        with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(partial, "w") as rest:
            for name in whole.namelist():
                if name not in ("tables/deliveries.jsonl", "tables/attempts.jsonl"):
                    rest.writestr(name, whole.read(name))
        restored = nursery.kanal(tmp_path / "new", database_url)
        code, output = await restored.command("restore", str(partial))
        assert code == 0, output
        await restored.start()
        try:
            async with restored.client() as client:
                assert (await client("GET", "deliveries.json?state=held"))["total_count"] == 2
                for path, told in (("readyz", "2 deliveries"), ("metrics", "undecided 2.0")):
                    async with client._session.get(f"{restored.address}/{path}") as response:
                        assert told in await response.text()
                code, output = await restored.command("recover-deliveries", "--since", "soon")
                assert (code, "--since soon" in output) == (1, True)
                since = ("recover-deliveries", "--since", "2020-01-01T00:00:00Z")
                code, output = await restored.command(*since, "--dry-run")
                assert (code, "2 would be sent, 0 would be" in output) == (0, True), output
                assert len(receiver.received) == 2
                code, output = await restored.command(*since)
                assert (code, "2 are sent, 0 are" in output) == (0, True), output
                await all_delivered(receiver, 4, client)
        finally:
            await restored.kill()
    first, again = receiver.received[:2], receiver.received[2:]
    for each, other in zip(first, again, strict=True):
        assert each.headers["webhook-id"] == other.headers["webhook-id"]
        assert each.body == other.body
