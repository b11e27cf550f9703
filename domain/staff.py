"""Staff: who answers, who administers, and which API keys are theirs.

Key material never reaches an event: a key is known here by its id and a keyed fingerprint.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from kanal.domain.channels import existing_channel
from kanal.domain.errors import (
    EmailTaken,
    KeyNotFound,
    KeyRevoked,
    LastAdministrator,
    LastOwner,
    SelfReplacement,
    StaffNotActive,
    StaffNotFound,
)
from kanal.domain.event import Event
from kanal.domain.links import Contact
from kanal.domain.roles import (
    ADMINISTERING,
    ADMINISTRATOR,
    OWNER,
    ROLE_HOLDERS,
    STAFF_ROLE,
    existing_role,
    give_role,
    take_role,
)
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

Kind = Literal["administrator", "staff"]
"""Whether somebody administers: all that there was before there were roles, and all that Omnidesk's clients know."""

ONLINE, OFFLINE, NO_CHATS = 1, 2, 3
"""Ids of the statuses that are always there (Omnidesk's); who has chosen none, or is disabled, is offline."""


class StaffCreated(Event, frozen=True):
    NAME = "staff.created.1"
    staff_id: int
    email: str
    full_name: str
    role: Kind
    signature: str
    signature_chat: str
    thumbnail: str = ""
    normalised: str = ""
    """The e-mail as it is compared."""
    role_id: int = 0
    """0: the built-in one that `role` says."""


class StaffChanged(Event, frozen=True):
    """Holds the whole new profile."""

    NAME = "staff.changed.1"
    staff_id: int
    email: str
    normalised: str
    full_name: str
    signature: str
    signature_chat: str
    thumbnail: str


class StaffRoleChanged(Event, frozen=True):
    NAME = "staff.role_changed.1"
    staff_id: int
    old: int
    new: int


class StaffWasDisabled(Event, frozen=True):
    NAME = "staff.disabled.1"
    staff_id: int
    replace_staff_id: int = 0
    """Who gets the cases that are not closed; 0: they stay with the one who is disabled."""
    hand_over_id: int = 0
    """0 if nothing is handed over."""


class StaffWasEnabled(Event, frozen=True):
    """Cases that were not handed over yet stay."""

    NAME = "staff.enabled.1"
    staff_id: int


class StaffWasDeleted(Event, frozen=True):
    """Their keys are dead from here on."""

    NAME = "staff.deleted.1"
    staff_id: int
    replace_staff_id: int
    """Who gets the cases that are not closed, 0 for nobody."""
    hand_over_id: int


class StaffCasesHandedOver(Event, frozen=True):
    """No case that is not closed is theirs any more."""

    NAME = "staff.cases_handed_over.1"
    staff_id: int
    hand_over_id: int


class StaffKeyIssued(Event, frozen=True):
    """The last fields are what the key takes away from its holder's role (KeyLimits)."""

    NAME = "staff.key_issued.1"
    staff_id: int
    key_id: int
    name: str
    fingerprint: str
    read_only: bool = False
    channels: tuple[int, ...] = ()
    expires_at: int = 0


class StaffKeyRevoked(Event, frozen=True):
    NAME = "staff.key_revoked.1"
    staff_id: int
    key_id: int


class StaffStatusChanged(Event, frozen=True):
    NAME = "staff.status_changed.1"
    staff_id: int
    old: int
    new: int


class StaffSecondFactorTurnedOn(Event, frozen=True):
    """Whoever signs in is asked for a code as well. The secret is in no event."""

    NAME = "staff.second_factor_turned_on.1"
    staff_id: int


class StaffSecondFactorTurnedOff(Event, frozen=True):
    NAME = "staff.second_factor_turned_off.1"
    staff_id: int


class StaffRecoveryCodeUsed(Event, frozen=True):
    """In place of a code of the authenticator."""

    NAME = "staff.recovery_code_used.1"
    staff_id: int


class StaffRecoveryCodesRenewed(Event, frozen=True):
    """New ones in place of all that there were."""

    NAME = "staff.recovery_codes_renewed.1"
    staff_id: int


class StaffInvited(Event, frozen=True):
    """A link was made under which they choose a password: whoever has it can be them."""

    NAME = "staff.invited.1"
    staff_id: int


class StaffPasswordChanged(Event, frozen=True):
    """By themselves, by such a link, or on the command line. The password is in no event, nor its hash."""

    NAME = "staff.password_changed.1"
    staff_id: int
    by_link: bool = False


class StaffEmailClaimed(Event, frozen=True):
    """In the e-mail's stream, where nobody has it."""

    NAME = "staff_email.claimed.1"
    staff_id: int


class StaffEmailReleased(Event, frozen=True):
    """Somebody else may have it now."""

    NAME = "staff_email.released.1"
    staff_id: int


class KeyLimits(Struct, frozen=True):
    """What an API key takes away from its holder's role."""

    read_only: bool = False
    channels: tuple[int, ...] = ()
    """Only these custom channels, and nothing of the account; none of them: all that the role gives."""
    expires_at: int = 0
    """0: never."""


NO_LIMITS = KeyLimits()


class Key(Struct, frozen=True):
    key_id: int
    limits: KeyLimits = NO_LIMITS


class Profile(Struct, frozen=True):
    email: str = ""
    """As it was given."""
    normalised: str = ""
    """As it is compared."""
    full_name: str = ""
    signature: str = ""
    signature_chat: str = ""
    thumbnail: str = ""


class Staff(Struct, frozen=True):
    staff_id: int = 0
    role_id: int = STAFF_ROLE
    active: bool = False
    deleted: bool = False
    profile: Profile = Profile()
    keys: tuple[Key, ...] = ()
    """That are not revoked."""
    successor: int | None = None
    """Who gets their cases, 0 for nobody; None while they keep them."""
    hand_over_id: int = 0
    """Of the hand-over that may still have cases to go, 0 for none."""
    status_id: int = OFFLINE
    second_factor: bool = False

    @property
    def has_whole_key(self) -> bool:
        """One with which they can do all that their role allows, for ever."""
        return any(key.limits == NO_LIMITS for key in self.keys)


def evolve(staff: Staff, event: Event) -> Staff:
    match event:
        case StaffCreated():
            return Staff(
                staff_id=event.staff_id,
                role_id=role_of(event),
                active=True,
                profile=_profile_of(event),
            )
        case StaffRoleChanged():
            return replace(staff, role_id=event.new)
        case StaffChanged():
            return replace(staff, profile=_profile_of(event))
        case StaffWasDisabled():
            return replace(
                staff,
                active=False,
                status_id=OFFLINE,
                successor=event.replace_staff_id or None,
                hand_over_id=event.hand_over_id,
            )
        case StaffWasEnabled():
            return replace(staff, active=True, successor=None, hand_over_id=0)
        case StaffWasDeleted():
            return replace(
                staff,
                active=False,
                status_id=OFFLINE,
                deleted=True,
                keys=(),
                successor=event.replace_staff_id,
                hand_over_id=event.hand_over_id,
            )
        case StaffCasesHandedOver():
            return replace(staff, hand_over_id=0)
        case StaffStatusChanged():
            return replace(staff, status_id=event.new)
        case StaffSecondFactorTurnedOn():
            return replace(staff, second_factor=True)
        case StaffSecondFactorTurnedOff():
            return replace(staff, second_factor=False)
        case StaffKeyIssued():
            limits = KeyLimits(event.read_only, event.channels, event.expires_at)
            return replace(staff, keys=(*staff.keys, Key(event.key_id, limits)))
        case StaffKeyRevoked():
            return replace(staff, keys=tuple(k for k in staff.keys if k.key_id != event.key_id))
    return staff


def role_of(event: StaffCreated) -> int:
    return event.role_id or (ADMINISTRATOR if event.role == "administrator" else STAFF_ROLE)


def kind_of(role_id: int) -> Kind:
    return "administrator" if role_id in ADMINISTERING else "staff"


def _profile_of(event: StaffCreated | StaffChanged) -> Profile:
    return Profile(
        email=event.email,
        normalised=event.normalised or event.email.lower(),
        full_name=event.full_name,
        signature=event.signature,
        signature_chat=event.signature_chat,
        thumbnail=event.thumbnail,
    )


STAFF = Aggregate("staff", Staff(), evolve, version=4)


def evolve_email(staff_id: int, event: Event) -> int:
    match event:
        case StaffEmailClaimed():
            return event.staff_id
        case StaffEmailReleased():
            return 0
    return staff_id


STAFF_EMAILS: Aggregate[int] = Aggregate("staff_email", 0, evolve_email, personal=True)
"""Normalised e-mail -> staff id, 0 while nobody has it."""


def evolve_administrators(ids: tuple[int, ...], event: Event) -> tuple[int, ...]:
    match event:
        case AdministratorAppointed():
            return (*ids, event.staff_id)
        case AdministratorStoodDown():
            return tuple(i for i in ids if i != event.staff_id)
    return ids


class AdministratorAppointed(Event, frozen=True):
    NAME = "administrators.appointed.1"
    staff_id: int


class AdministratorStoodDown(Event, frozen=True):
    NAME = "administrators.stood_down.1"
    staff_id: int


ADMINISTRATORS: Aggregate[tuple[int, ...]] = Aggregate("administrators", (), evolve_administrators)
"""One stream, key "all": the active administrators, owners among them, so that the last one cannot be locked out."""


class NewKey(Struct, frozen=True):
    staff_id: int
    key_id: int


def create_staff(
    work: Work,
    *,
    email: Contact,
    full_name: str,
    role: Kind = "staff",
    role_id: int = 0,
    signature: str = "",
    signature_chat: str = "",
    thumbnail: str = "",
    key_fingerprint: str,
    key_name: str = "first key",
) -> NewKey:
    """A staff member with a first API key. `role_id`: 0 for the built-in one that `role` says.

    Raises EmailTaken, RoleNotFound.
    """
    role_id = role_id or (ADMINISTRATOR if role == "administrator" else STAFF_ROLE)
    existing_role(work, role_id)
    staff_id = work.take("staff")
    _claim_email(work, staff_id, email)
    created = StaffCreated(
        staff_id=staff_id,
        email=email.given.strip(),
        full_name=full_name,
        role=kind_of(role_id),
        signature=signature,
        signature_chat=signature_chat,
        thumbnail=thumbnail,
        normalised=email.normalised,
        role_id=0 if role_id in (ADMINISTRATOR, STAFF_ROLE) else role_id,
    )
    work.record(STAFF, staff_id, created)
    give_role(work, role_id, staff_id)
    if role_id in ADMINISTERING:
        work.record(ADMINISTRATORS, "all", AdministratorAppointed(staff_id))
    return issue_key(work, staff_id=staff_id, name=key_name, fingerprint=key_fingerprint)


def issue_key(
    work: Work, *, staff_id: int, name: str, fingerprint: str, limits: KeyLimits = NO_LIMITS
) -> NewKey:
    """Raises StaffNotFound, ChannelNotFound."""
    existing_staff(work, staff_id)
    for channel_id in limits.channels:
        existing_channel(work, channel_id)
    key_id = work.take("key")
    issued = StaffKeyIssued(
        staff_id=staff_id,
        key_id=key_id,
        name=name,
        fingerprint=fingerprint,
        read_only=limits.read_only,
        channels=limits.channels,
        expires_at=limits.expires_at,
    )
    work.record(STAFF, staff_id, issued)
    return NewKey(staff_id, key_id)


def revoke_key(work: Work, *, staff_id: int, key_id: int) -> int:
    """Raises StaffNotFound, KeyNotFound, or LastAdministrator, LastOwner if no active one would have a key."""
    staff = existing_staff(work, staff_id)
    left = tuple(key for key in staff.keys if key.key_id != key_id)
    if len(left) == len(staff.keys):
        raise KeyNotFound(key_id)
    if not replace(staff, keys=left).has_whole_key:
        _keep_an_administrator(work, staff_id)
        _keep_an_owner(work, staff)
    work.record(STAFF, staff_id, StaffKeyRevoked(staff_id=staff_id, key_id=key_id))
    return staff_id


def change_staff(work: Work, *, staff_id: int, email: Contact | None = None, **texts: str) -> int:
    """`texts`: any of full_name, signature, signature_chat, thumbnail. What stays the same is no event.

    Raises StaffNotFound or EmailTaken.
    """
    profile = existing_staff(work, staff_id).profile
    changed = replace(profile, **texts)
    if email:
        changed = replace(changed, email=email.given.strip(), normalised=email.normalised)
        if email.normalised != profile.normalised:
            _claim_email(work, staff_id, email)
            work.record(STAFF_EMAILS, profile.normalised, StaffEmailReleased(staff_id))
    if changed != profile:
        work.record(STAFF, staff_id, StaffChanged(staff_id=staff_id, **asdict(changed)))
    return staff_id


def disable_staff(work: Work, *, staff_id: int, replace_staff_id: int = 0) -> int:
    """`replace_staff_id`: who gets the cases that are not closed. They are handed over in steps (hand_overs.py).

    Raises StaffNotFound, StaffNotActive, SelfReplacement, LastAdministrator or LastOwner.
    """
    staff = existing_staff(work, staff_id)
    _check_successor(work, staff_id, replace_staff_id)
    if not staff.active and replace_staff_id in (0, staff.successor):
        return staff_id
    _stand_down(work, staff)
    disabled = StaffWasDisabled(
        staff_id=staff_id,
        replace_staff_id=replace_staff_id,
        hand_over_id=work.take("hand_over") if replace_staff_id else 0,
    )
    work.record(STAFF, staff_id, disabled)
    return staff_id


def delete_staff(work: Work, *, staff_id: int, replace_staff_id: int = 0) -> int:
    """For good; old cases and messages still name the id. Without a replacement nobody gets the cases.

    Raises StaffNotFound, StaffNotActive, SelfReplacement, LastAdministrator or LastOwner.
    """
    staff = existing_staff(work, staff_id)
    _check_successor(work, staff_id, replace_staff_id)
    _stand_down(work, staff)
    take_role(work, staff.role_id, staff_id)
    work.record(STAFF_EMAILS, staff.profile.normalised, StaffEmailReleased(staff_id))
    deleted = StaffWasDeleted(
        staff_id=staff_id, replace_staff_id=replace_staff_id, hand_over_id=work.take("hand_over")
    )
    work.record(STAFF, staff_id, deleted)
    return staff_id


def enable_staff(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound."""
    staff = existing_staff(work, staff_id)
    if not staff.active:
        work.record(STAFF, staff_id, StaffWasEnabled(staff_id))
        if staff.role_id in ADMINISTERING:
            work.record(ADMINISTRATORS, "all", AdministratorAppointed(staff_id))
    return staff_id


def turn_on_second_factor(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound."""
    if not existing_staff(work, staff_id).second_factor:
        work.record(STAFF, staff_id, StaffSecondFactorTurnedOn(staff_id))
    return staff_id


def turn_off_second_factor(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound."""
    if existing_staff(work, staff_id).second_factor:
        work.record(STAFF, staff_id, StaffSecondFactorTurnedOff(staff_id))
    return staff_id


def renew_recovery_codes(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound."""
    existing_staff(work, staff_id)
    work.record(STAFF, staff_id, StaffRecoveryCodesRenewed(staff_id))
    return staff_id


def invite_staff(work: Work, *, staff_id: int) -> int:
    """Raises StaffNotFound."""
    existing_staff(work, staff_id)
    work.record(STAFF, staff_id, StaffInvited(staff_id))
    return staff_id


def note_password(work: Work, *, staff_id: int, by_link: bool = False) -> int:
    """Raises StaffNotFound, StaffNotActive."""
    active_staff(work, staff_id)
    work.record(STAFF, staff_id, StaffPasswordChanged(staff_id, by_link))
    return staff_id


def note_recovery_code(work: Work, *, staff_id: int) -> None:
    """Raises StaffNotFound, StaffNotActive."""
    active_staff(work, staff_id)
    work.record(STAFF, staff_id, StaffRecoveryCodeUsed(staff_id))


def change_role_of(work: Work, *, staff_id: int, role_id: int) -> int:
    """Raises StaffNotFound, RoleNotFound, LastAdministrator, LastOwner."""
    staff = existing_staff(work, staff_id)
    existing_role(work, role_id)
    if role_id == staff.role_id:
        return staff_id
    administers, will = staff.role_id in ADMINISTERING, role_id in ADMINISTERING
    if staff.active and administers and not will:
        _keep_an_administrator(work, staff_id)
        work.record(ADMINISTRATORS, "all", AdministratorStoodDown(staff_id))
    if staff.active:
        _keep_an_owner(work, staff)
    changed = StaffRoleChanged(staff_id=staff_id, old=staff.role_id, new=role_id)
    work.record(STAFF, staff_id, changed)
    take_role(work, staff.role_id, staff_id)
    give_role(work, role_id, staff_id)
    if staff.active and will and not administers:
        work.record(ADMINISTRATORS, "all", AdministratorAppointed(staff_id))
    return staff_id


def appoint_first_owner(work: Work) -> None:
    """The administrator who has been one the longest, where nobody is the owner yet."""
    administrators = work.load(ADMINISTRATORS, "all")
    if administrators and not work.load(ROLE_HOLDERS, OWNER):
        change_role_of(work, staff_id=administrators[0], role_id=OWNER)


def staff_after(work: Work, staff_id: int) -> int:
    """Whose a case of that staff member is by now: their own, unless they left it to somebody; 0 for nobody's.

    A successor may have left too. This ends, because nobody who has left can become a successor.
    """
    staff = work.load(STAFF, staff_id)
    while staff.successor:
        staff = work.load(STAFF, staff.successor)
    if staff.successor == 0 or (staff.staff_id != staff_id and not staff.active):
        return 0
    return staff.staff_id


def finish_hand_over(work: Work, *, staff_id: int, hand_over_id: int) -> None:
    """Unless it was called off, or another one has begun meanwhile."""
    if work.load(STAFF, staff_id).hand_over_id == hand_over_id:
        work.record(STAFF, staff_id, StaffCasesHandedOver(staff_id, hand_over_id))


def _check_successor(work: Work, staff_id: int, successor: int) -> None:
    if successor == staff_id:
        raise SelfReplacement
    if successor:
        active_staff(work, successor)


def _stand_down(work: Work, staff: Staff) -> None:
    """Raises LastAdministrator, LastOwner."""
    if staff.active and staff.role_id in ADMINISTERING:
        _keep_an_administrator(work, staff.staff_id)
        _keep_an_owner(work, staff)
        work.record(ADMINISTRATORS, "all", AdministratorStoodDown(staff.staff_id))


def _claim_email(work: Work, staff_id: int, email: Contact) -> None:
    if work.load(STAFF_EMAILS, email.normalised):
        raise EmailTaken
    work.record(STAFF_EMAILS, email.normalised, StaffEmailClaimed(staff_id))


def _keep_an_administrator(work: Work, staff_id: int) -> None:
    """Somebody else must be able to let people in. Raises LastAdministrator."""
    administrators = work.load(ADMINISTRATORS, "all")
    others = (other for other in administrators if other != staff_id)
    if staff_id in administrators and not any(
        work.load(STAFF, other).has_whole_key for other in others
    ):
        raise LastAdministrator


def _keep_an_owner(work: Work, staff: Staff) -> None:
    """Somebody else who is active and has a key must be able to appoint owners. Raises LastOwner."""
    if staff.role_id == OWNER:
        others = (
            work.load(STAFF, other)
            for other in work.load(ROLE_HOLDERS, OWNER)
            if other != staff.staff_id
        )
        if not any(other.active and other.has_whole_key for other in others):
            raise LastOwner


def existing_staff(work: Work, staff_id: int) -> Staff:
    """Who is not deleted; maybe disabled. Raises StaffNotFound."""
    staff = work.load(STAFF, staff_id)
    if not staff.staff_id or staff.deleted:
        raise StaffNotFound(staff_id)
    return staff


def active_staff(work: Work, staff_id: int) -> Staff:
    """Raises StaffNotFound or StaffNotActive."""
    staff = existing_staff(work, staff_id)
    if not staff.active:
        raise StaffNotActive(staff_id)
    return staff


def check_key(work: Work, *, staff_id: int, key_id: int, email: str) -> tuple[Staff, KeyLimits]:
    """The key is live at this very place of the log, whichever process revoked it, and goes with this normalised
    e-mail. Raises KeyRevoked.
    """
    staff = work.load(STAFF, staff_id)
    key = next((each for each in staff.keys if each.key_id == key_id), None)
    if not staff.active or not key or email != staff.profile.normalised:
        raise KeyRevoked
    if 0 < key.limits.expires_at <= work.now:
        raise KeyRevoked
    return staff, key.limits
