"""Codes that say which profile somebody was identified as."""

import pytest

from kanal.domain.errors import WrongIdentificationCode
from kanal.domain.identities import Proof
from kanal.eventlog.stream_ids import StreamIds
from kanal.http.identification import SECOND, code_of, user_proven

OURS, THEIRS = StreamIds(b"ours"), StreamIds(b"theirs")
NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize("user_id", [1, 20_023_294, 2**63 - 1])
def test_a_code_proves_its_profile_until_it_expires(user_id: int) -> None:
    code = code_of(OURS, Proof(user_id, NOW))
    assert len(code) <= 64
    assert user_proven(OURS, code, 0) == user_proven(OURS, code, NOW - 1) == user_id
    with pytest.raises(WrongIdentificationCode):
        user_proven(OURS, code, NOW)


def test_a_code_that_was_not_made_here_proves_nothing() -> None:
    code = code_of(OURS, Proof(1, NOW))
    changed = code.replace("o_1_", "o_2_")
    later = code_of(OURS, Proof(1, NOW + SECOND))
    theirs = code_of(THEIRS, Proof(1, NOW))
    mixed = later.rpartition("_")[0] + code[-17:]
    for wrong in ("", "o_", code + "A", code.lower(), changed, mixed, theirs):
        with pytest.raises(WrongIdentificationCode):
            user_proven(OURS, wrong, 0)
