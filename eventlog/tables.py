"""The tables that are neither events nor derived from them, and the two that the log keeps for its own speed.

They are made by the migrations, are in every backup (but for what `DERIVED` names), and hold no event's truth:
secrets, counters, key hashes, the pointers to the live read models.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

METADATA = MetaData()

EVENTS_TABLE = "events"
"""The log itself; made by the recorders (sqlite.py, postgres.py), not by a migration."""

installation = Table(
    "installation",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""One row a fact: `secret` (hexadecimal; keys of personal streams and of fingerprints), `created_at`, `rules_position` (up
to where rules have run), `rule_mark_<id>` (up to where a timed rule has asked cases), `restored_<position>` (that the log was
restored up to there, and a word that no other restore has).
"""

counters = Table(
    "counters",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""The last number given out; taken in the batch's own transaction, so that no rebuild can reset it."""

api_keys = Table(
    "api_keys",
    METADATA,
    Column("key_id", BigInteger, primary_key=True, autoincrement=False),
    Column("staff_id", BigInteger, nullable=False),
    Column("email", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("last_used_at", BigInteger, nullable=False, default=0),
    Index("api_keys_hash", "key_hash"),
)
"""SHA-256 of each key beside its holder's normalised e-mail, and when it was used last, to some minutes; a revoked key's row
is gone."""

passwords = Table(
    "passwords",
    METADATA,
    Column("staff_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
)
"""Argon2 hashes."""

channel_secrets = Table(
    "channel_secrets",
    METADATA,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("created_at", BigInteger, primary_key=True, autoincrement=False),
    Column("secret", Text, nullable=False),
    Column("private_key", LargeBinary, nullable=False),
    Column("expires_at", BigInteger),
)
"""Signing secrets (`whsec_...`), each with the private half (ed25519, 32 bytes) of a key that whoever may not know the
secret can check with. Several live ones all sign; after `expires_at` one does not any more."""

channel_headers = Table(
    "channel_headers",
    METADATA,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""What a channel's webhooks bear beside Kanal's own headers; values may be passwords of the receiver."""

file_chunks = Table(
    "file_chunks",
    METADATA,
    Column("token", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("created_at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""The bytes of attachments with PostgreSQL, from number 0 on (files.py); with SQLite they lie on the disk."""

sessions = Table(
    "sessions",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("staff_id", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("sessions_staff", "staff_id"),
)
"""Who is signed in to the workspace, one row for each browser. The id is the SHA-256 of the token that only the browser
has; `seen_at`, `address` and `agent` let its owner recognise it."""

preferences = Table(
    "preferences",
    METADATA,
    Column("staff_id", BigInteger, primary_key=True, autoincrement=False),
    Column("language", Text, nullable=False),
    Column("theme", Text, nullable=False),
    Column("alerts", Text, nullable=False, server_default="sound title"),
)
"""How a staff member wants the workspace to look; "" leaves it to the browser. `alerts`: words for what tells of news while
they look elsewhere.
"""

drafts = Table(
    "drafts",
    METADATA,
    Column("staff_id", BigInteger, primary_key=True, autoincrement=False),
    Column("case_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""What a staff member has begun to write in a case and not sent: a reply or a note."""

begun_cases = Table(
    "begun_cases",
    METADATA,
    Column("staff_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("profile_id", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""What a staff member has begun to write to somebody and not sent, which would begin a case: `user_id` is who was chosen,
`profile_id` the one of their profiles that it goes to, 0 if that is not chosen.
"""

invitations = Table(
    "invitations",
    METADATA,
    Column("invitation_id", Text, primary_key=True),
    Column("staff_id", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("invitations_staff", "staff_id"),
)
"""Links under which a staff member chooses a password, once. The id is the SHA-256 of the token in the link."""

second_factors = Table(
    "second_factors",
    METADATA,
    Column("staff_id", BigInteger, primary_key=True, autoincrement=False),
    Column("secret", Text, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("last_step", BigInteger, nullable=False),
)
"""The secret that an authenticator makes codes of (Base32), whether a code was right once, and the last step (of half a
minute) whose code was used."""

recovery_codes = Table(
    "recovery_codes",
    METADATA,
    Column("staff_id", BigInteger, primary_key=True, autoincrement=False),
    Column("code_hash", Text, primary_key=True),
)
"""SHA-256 of codes for whoever has lost the authenticator; a used one's row is gone."""

guesses = Table(
    "guesses",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("staff_id", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("failed", Integer, nullable=False),
    Index("guesses_until", "until"),
)
"""Passwords and codes that were tried in vain, a row for whom or what they are counted (http/pages/throttle.py): a keyed hash, since what
people type as their e-mail is anything; `until` when the last of them is forgiven; `failed` of codes how many there were since one was
right; `staff_id` who gets them back with a new password, 0 for nobody.
"""

snapshots = Table(
    "snapshots",
    METADATA,
    Column("stream_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("shape", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
"""Derived: the state of long streams at a version, so that loading one costs the same at any length."""

generations = Table(
    "generations",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
)
"""Derived: which tables of each read model are live, and up to which position of the log they are folded."""

DERIVED = frozenset({"snapshots", "generations"})
