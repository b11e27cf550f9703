"""What the chat must not forget when it restarts: one small SQLite file.

Calls take well under a millisecond, so they run in the event loop; a busy chat would not do that.
"""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

Author = Literal["visitor", "bot", "staff"]
# Of a visitor's message: for the bot only; on its way to Kanal; tried in vain so far, and tried
# again; taken by Kanal; not accepted by Kanal.
State = Literal["", "waiting", "late", "delivered", "refused"]

# Kanal tries a webhook again for 30 days at most, so older ids cannot come back.
WEBHOOK_IDS_DAYS = 40

# The first message of a case shows what was said before, but no more than this; Kanal takes 1 MB.
TRANSCRIPT_CHARACTERS = 50_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS chats (
    id INTEGER PRIMARY KEY,
    cookie TEXT NOT NULL UNIQUE,        -- a hash: who reads this file cannot take over a chat
    custom_id TEXT NOT NULL UNIQUE,     -- user_custom_id in Kanal
    with_people INTEGER NOT NULL DEFAULT 0,
    user_id INTEGER,                    -- Kanal's, from the answer that opened the case
    case_id INTEGER
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat INTEGER NOT NULL REFERENCES chats (id),
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT '',
    client_id TEXT,                     -- chosen by the page, so that a repeated POST changes nothing
    revision INTEGER NOT NULL,          -- counts the changes of a chat; the stream's Last-Event-ID
    UNIQUE (chat, client_id)
);
CREATE INDEX IF NOT EXISTS messages_by_revision ON messages (chat, revision);
CREATE TABLE IF NOT EXISTS outbox (
    message INTEGER PRIMARY KEY REFERENCES messages (id),
    chat INTEGER NOT NULL,
    key TEXT NOT NULL DEFAULT '',       -- the request: written before it is sent for the first
    path TEXT NOT NULL DEFAULT '',      -- time, then repeated unchanged
    body TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, at INTEGER NOT NULL);
"""


class Chat(NamedTuple):
    id: int
    custom_id: str
    with_people: bool
    user_id: int | None
    case_id: int | None


class Message(NamedTuple):
    id: int
    author: Author
    text: str
    at: int
    state: State
    client_id: str | None
    revision: int


class Outgoing(NamedTuple):
    """A visitor's message that Kanal has not taken yet."""

    message: int
    chat: int
    text: str
    key: str
    path: str
    body: str


class Store:
    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None)
        # An answer to a visitor or to Kanal promises that the message survives a power cut.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)
        oldest = int(time.time()) - WEBHOOK_IDS_DAYS * 86400
        self._db.execute("DELETE FROM webhooks WHERE at < ?", [oldest])

    def close(self) -> None:
        self._db.close()

    # Visitors and their page.

    def new_chat(self) -> str:
        """The cookie of a chat that did not exist before."""
        cookie = secrets.token_urlsafe(32)
        self._db.execute(
            "INSERT INTO chats (cookie, custom_id) VALUES (?, ?)",
            [_hash(cookie), f"visitor-{secrets.token_hex(8)}"],
        )
        return cookie

    def chat_of(self, cookie: str) -> Chat | None:
        return self._chat("cookie = ?", _hash(cookie))

    def chat(self, chat: int) -> Chat:
        found = self._chat("id = ?", chat)
        assert found
        return found

    def changes(self, chat: int, after: int) -> list[Message]:
        """Messages that are new or have another state since this revision."""
        rows = self._db.execute(
            "SELECT id, author, text, at, state, client_id, revision FROM messages "
            "WHERE chat = ? AND revision > ? ORDER BY revision",
            [chat, after],
        )
        return [Message(*row) for row in rows]

    def visitor_wrote(
        self, chat: int, client_id: str, text: str, answer: str | None, *, for_people: bool
    ) -> None:
        """Keep it, the bot's answer, and whether Kanal is to get it; nothing if it came before."""
        with self._transaction():
            known = self._db.execute(
                "SELECT 1 FROM messages WHERE chat = ? AND client_id = ?", [chat, client_id]
            )
            if known.fetchone():
                return
            state: State = "waiting" if for_people else ""
            message = self._add(chat, "visitor", text, state, client_id)
            if for_people:
                self._db.execute("UPDATE chats SET with_people = 1 WHERE id = ?", [chat])
                self._db.execute(
                    "INSERT INTO outbox (message, chat) VALUES (?, ?)", [message, chat]
                )
            if answer:
                self._add(chat, "bot", answer)

    # The way to Kanal.

    def chats_with_outgoing(self) -> list[int]:
        return [row[0] for row in self._db.execute("SELECT DISTINCT chat FROM outbox")]

    def next_outgoing(self, chat: int) -> Outgoing | None:
        row = self._db.execute(
            "SELECT message, outbox.chat, text, key, path, body FROM outbox "
            "JOIN messages ON id = message WHERE outbox.chat = ? ORDER BY message LIMIT 1",
            [chat],
        ).fetchone()
        return Outgoing(*row) if row else None

    def transcript(self, chat: int, up_to: int) -> str:
        """What was said up to this message; the end of it, if it is long."""
        rows = self._db.execute(
            "SELECT author, text FROM messages WHERE chat = ? AND id <= ? ORDER BY id",
            [chat, up_to],
        )
        said = "\n".join(f"{author.capitalize()}: {text}" for author, text in rows)
        if len(said) > TRANSCRIPT_CHARACTERS:
            said = "… " + said[-TRANSCRIPT_CHARACTERS:]
        return said

    def write_request(self, item: Outgoing, path: str, body: str) -> Outgoing:
        """With a key of its own, which makes it safe to repeat."""
        item = item._replace(key=secrets.token_hex(16), path=path, body=body)
        self._db.execute(
            "UPDATE outbox SET key = ?, path = ?, body = ? WHERE message = ?",
            [item.key, path, body, item.message],
        )
        return item

    def forget_case(self, item: Outgoing) -> None:
        """Kanal no longer takes messages for the case: this one is to open another."""
        with self._transaction():
            self._db.execute("UPDATE chats SET case_id = NULL WHERE id = ?", [item.chat])
            self._db.execute("UPDATE outbox SET path = '' WHERE message = ?", [item.message])

    def case_opened(self, chat: int, case_id: int, user_id: int) -> None:
        self._db.execute(
            "UPDATE chats SET case_id = ?, user_id = ? WHERE id = ?", [case_id, user_id, chat]
        )

    def tried_in_vain(self, item: Outgoing) -> None:
        self._set_state(item, "late")

    def settled(self, item: Outgoing, state: Literal["delivered", "refused"]) -> None:
        with self._transaction():
            self._set_state(item, state)
            self._db.execute("DELETE FROM outbox WHERE message = ?", [item.message])

    # The way back.

    def staff_wrote(
        self, webhook_id: str, custom_id: str, case_id: int, user_id: int, text: str, *, note: bool
    ) -> int | None:
        """The chat that has something new to show; None for a duplicate, a note, an unknown visitor."""
        with self._transaction():
            new = self._db.execute(
                "INSERT OR IGNORE INTO webhooks VALUES (?, ?)", [webhook_id, int(time.time())]
            ).rowcount
            chat = self._chat("custom_id = ?", custom_id)
            if not new or note or not chat:
                return None
            self._add(chat.id, "staff", text)
            # The visitor's next message answers this one, so it belongs to the same case, even if
            # staff opened that case themselves.
            self.case_opened(chat.id, case_id, user_id)
            self._db.execute("UPDATE chats SET with_people = 1 WHERE id = ?", [chat.id])
            return chat.id

    def _chat(self, condition: str, value: str | int) -> Chat | None:
        row = self._db.execute(
            "SELECT id, custom_id, with_people, user_id, case_id FROM chats WHERE " + condition,
            [value],
        ).fetchone()
        return Chat(row[0], row[1], bool(row[2]), row[3], row[4]) if row else None

    def _add(
        self,
        chat: int,
        author: Author,
        text: str,
        state: State = "",
        client_id: str | None = None,
    ) -> int:
        inserted = self._db.execute(
            "INSERT INTO messages (chat, author, text, at, state, client_id, revision) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [chat, author, text, int(time.time()), state, client_id, self._next_revision(chat)],
        )
        assert inserted.lastrowid
        return inserted.lastrowid

    def _set_state(self, item: Outgoing, state: State) -> None:
        self._db.execute(
            "UPDATE messages SET state = ?, revision = ? WHERE id = ? AND state <> ?",
            [state, self._next_revision(item.chat), item.message, state],
        )

    def _next_revision(self, chat: int) -> int:
        row = self._db.execute("SELECT max(revision) FROM messages WHERE chat = ?", [chat])
        return (row.fetchone()[0] or 0) + 1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
