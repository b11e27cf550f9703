"""Identification codes: which profile somebody was identified as, to be carried through a deep link and presented later.

A code is not stored anywhere: it is the profile's id and the second of expiry under a keyed hash.
"""

import base64
import re

from kanal.domain.errors import WrongIdentificationCode
from kanal.domain.identities import Proof
from kanal.eventlog.stream_ids import StreamIds

MAC_OCTETS = 12
"""96 bits: more than anybody can try within a day. The whole code fits into Telegram's 64 characters of a start parameter,
whose alphabet it keeps to.
"""
CODE = re.compile(r"o_([0-9A-F]{1,16})_([0-9A-F]{1,12})_([\w-]{16})", re.ASCII)
SECOND = 1_000_000


def code_of(stream_ids: StreamIds, proof: Proof) -> str:
    expires = proof.until // SECOND
    return f"o_{proof.user_id:X}_{expires:X}_{_mac(stream_ids, proof.user_id, expires)}"


def user_proven(stream_ids: StreamIds, code: str, now: int) -> int:
    """The profile's id. Raises WrongIdentificationCode for what was not made here or has expired."""
    match = CODE.fullmatch(code)
    if match:
        user_id, expires = int(match[1], 16), int(match[2], 16)
        made_here = match[3] == _mac(stream_ids, user_id, expires)
        if made_here and now < expires * SECOND:
            return user_id
    raise WrongIdentificationCode


def _mac(stream_ids: StreamIds, user_id: int, expires: int) -> str:
    mac = stream_ids.keyed_hash(f"identification/{user_id}/{expires}")[:MAC_OCTETS]
    return base64.urlsafe_b64encode(mac).decode()
