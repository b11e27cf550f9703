"""Files beside the log: the same behaviour on the disk and in the database."""

import os
import stat
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from open_log import database_of
from sqlalchemy import func, select

from kanal.eventlog import backup
from kanal.eventlog.backup import BackupError
from kanal.eventlog.database import Database
from kanal.eventlog.files import PIECE, TOKEN, DiskFiles, FileLost, mime_type_of
from kanal.eventlog.migrate import migrate
from kanal.eventlog.tables import file_chunks

CONTENTS = [b"", b"x", bytes(range(256)), b"a" * PIECE, b"b" * (PIECE + 1), b"c" * (3 * PIECE)]


@pytest.fixture
def database(database_url: str, data_dir: Path) -> Iterator[Database]:
    database = database_of(database_url, data_dir / "data")
    migrate(database)
    yield database
    database.close()


def uploads(folder: Path, *contents: bytes) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def all_tokens(database: Database) -> list[str]:
    return sorted(token for tokens in database.files.stored() for token in tokens)


def test_what_is_kept_is_read_again_byte_for_byte(database: Database, tmp_path: Path) -> None:
    tokens = database.files.keep(uploads(tmp_path / "up", *CONTENTS))
    for token, content in zip(tokens, CONTENTS, strict=True):
        assert b"".join(database.files.read(token)) == content
        assert database.files.piece(token, 4) == b""
    assert all_tokens(database) == sorted(tokens)


def test_tokens_are_new_each_time_and_beyond_guessing(database: Database, tmp_path: Path) -> None:
    tokens = database.files.keep(uploads(tmp_path / "up", b"same", b"same"))
    tokens += database.files.keep(uploads(tmp_path / "up", b"same"))
    assert len(set(tokens)) == 3
    assert all(TOKEN.fullmatch(token) for token in tokens)


def test_no_bytes_under_an_unknown_token(database: Database) -> None:
    with pytest.raises(FileLost):
        database.files.piece("0" * 40, 0)
    with pytest.raises(FileLost):
        list(database.files.read("0" * 40))


def test_what_is_removed_is_gone_and_removing_it_again_is_no_error(
    database: Database, tmp_path: Path
) -> None:
    one, two = database.files.keep(uploads(tmp_path / "up", b"one", b"two" * PIECE))
    for _ in range(2):
        database.files.remove([two])
    assert all_tokens(database) == [one]
    with pytest.raises(FileLost):
        database.files.piece(two, 0)


def test_the_old_ones_are_told_from_the_new(database: Database, tmp_path: Path) -> None:
    [token] = database.files.keep(uploads(tmp_path / "up", b"x" * (PIECE + 1)))
    now = time.time()
    assert list(database.files.stored(before=now - 60)) == []
    assert list(database.files.stored(before=now + 60)) == [[token]]


def test_a_failure_while_keeping_leaves_nothing_readable(
    database: Database, tmp_path: Path
) -> None:
    there, missing = *uploads(tmp_path / "up", b"there"), tmp_path / "up" / "missing"
    with pytest.raises(FileNotFoundError):
        database.files.keep([there, missing])
    if database.shared:
        assert all_tokens(database) == []


def test_putting_bytes_again_under_the_same_token_replaces_them(database: Database) -> None:
    token = "ab" * 20
    database.files.put(token, [b"first", b"part"])
    database.files.put(token, iter([b"second"]))
    assert b"".join(database.files.read(token)) == b"second"


def test_a_big_file_takes_a_row_for_each_piece(postgres_url: str, tmp_path: Path) -> None:
    database = database_of(postgres_url, tmp_path)
    migrate(database)
    database.files.keep(uploads(tmp_path / "up", b"x" * (2 * PIECE + 1)))
    with database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(file_chunks)) == 3
    database.close()


def test_on_the_disk_files_are_moved_and_for_their_owner_only(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path / "files")
    [upload] = uploads(tmp_path / "up", b"data")
    inode = upload.stat().st_ino
    [token] = files.keep([upload])
    path = tmp_path / "files" / token[:2] / token
    assert not upload.exists()
    assert path.stat().st_ino == inode
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_on_the_disk_what_a_crash_left_half_written_is_swept_with_the_rest(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path / "files")
    folder = tmp_path / "files" / "ab"
    folder.mkdir(parents=True)
    (folder / ("ab" * 20 + ".part")).write_bytes(b"half")
    os.utime(folder / ("ab" * 20 + ".part"), (1, 1))
    for names in files.stored(before=2):
        files.remove(names)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("beginning", "declared", "file_name", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "text/plain", "a.txt", "image/png"),
        (b"\xff\xd8\xff\xe0", "", "a", "image/jpeg"),
        (b"GIF89a", "image/png", "a.png", "image/gif"),
        (b"RIFF\n\n\n\nWEBPVP8 ", "", "", "image/webp"),
        (b"%PDF-1.7", "application/octet-stream", "a", "application/pdf"),
        (b"<script>", "image/png", "a.png", "application/octet-stream"),
        (b"<html>", "text/html; charset=utf-8", "a.png", "text/html"),
        (b"x", "IMAGE/SVG+XML", "a.svg", "image/svg+xml"),
        (b"x", "nonsense", "a.csv", "text/csv"),
        (b"x", "", "a.png", "application/octet-stream"),
        (b"x", "text/x\r\nSet-Cookie: a", "a", "application/octet-stream"),
        (b"x", "", "a.tar.gz", "application/octet-stream"),
        (b"x", "", "data:text/html,x", "application/octet-stream"),
        (b"", "", "", "application/octet-stream"),
    ],
)
def test_a_picture_is_what_begins_like_one_and_nothing_else(
    beginning: bytes, declared: str, file_name: str, mime_type: str
) -> None:
    assert mime_type_of(beginning, declared, file_name) == mime_type


@pytest.mark.parametrize("to_postgres", [True, False])
def test_a_backup_moves_files_from_one_database_to_the_other(
    tmp_path: Path, postgres_url: str, to_postgres: bool
) -> None:
    urls = ("", postgres_url) if to_postgres else (postgres_url, "")
    old, new = (database_of(url, tmp_path / f"{at}") for at, url in enumerate(urls))
    for database in (old, new):
        migrate(database)
    tokens = old.files.keep(uploads(tmp_path / "up", *CONTENTS))
    archive = tmp_path / "kanal.zip"
    list(backup.write(old, archive))
    list(backup.restore(new, archive))
    assert all_tokens(new) == sorted(tokens)
    for token, content in zip(tokens, CONTENTS, strict=True):
        assert b"".join(new.files.read(token)) == content
    old.close()
    new.close()


def test_a_backup_cannot_write_outside_of_the_files_folder(tmp_path: Path) -> None:
    old = database_of("", tmp_path / "old")
    migrate(old)
    list(backup.write(old, tmp_path / "kanal.zip"))
    old.close()
    with (
        zipfile.ZipFile(tmp_path / "kanal.zip") as good,
        zipfile.ZipFile(tmp_path / "evil.zip", "w") as evil,
    ):
        for name in set(good.namelist()) - {"files.jsonl"}:
            evil.writestr(name, good.read(name))
        evil.writestr("files.jsonl", '{"token": "../../evil", "data": "eA=="}\n')
    new = database_of("", tmp_path / "new")
    migrate(new)
    with pytest.raises(BackupError, match="none of Kanal's"):
        list(backup.restore(new, tmp_path / "evil.zip"))
    new.close()
    assert not list(tmp_path.rglob("*evil"))
