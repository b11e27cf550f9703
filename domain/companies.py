"""Companies: for whom users work. A company is known by its name and has e-mail domains, whose new users join it."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from kanal.domain.errors import CompanyDomainTaken, CompanyNameTaken, CompanyNotFound
from kanal.domain.event import Event
from kanal.domain.groups import active_group
from kanal.domain.names import folded
from kanal.domain.stream import Aggregate
from kanal.domain.users import (
    USERS,
    CompanyReason,
    User,
    UserJoinedCompany,
    UserLeftCompany,
    existing_user,
)
from kanal.domain.work import Work


class CompanyCreated(Event, frozen=True):
    NAME = "company.created.1"
    company_id: int
    name: str
    default_group: int
    """Of its users' cases, when none is given; 0 for none."""
    address: str
    note: str


class CompanyChanged(Event, frozen=True):
    """Holds the whole new details."""

    NAME = "company.changed.1"
    company_id: int
    name: str
    default_group: int
    address: str
    note: str


class CompanyDomainAdded(Event, frozen=True):
    NAME = "company.domain_added.1"
    company_id: int
    domain: str


class CompanyDomainRemoved(Event, frozen=True):
    NAME = "company.domain_removed.1"
    company_id: int
    domain: str


class CompanyWasBlocked(Event, frozen=True):
    """Its users' later cases are spam."""

    NAME = "company.blocked.1"
    company_id: int


class CompanyWasDisabled(Event, frozen=True):
    """Put among the deleted ones; it can be restored."""

    NAME = "company.disabled.1"
    company_id: int


class CompanyWasRestored(Event, frozen=True):
    NAME = "company.restored.1"
    company_id: int


class CompanyWasDeleted(Event, frozen=True):
    """For good. Its users get no event; whoever shows them leaves the company out from now on."""

    NAME = "company.deleted.1"
    company_id: int


class CompanyNameClaimed(Event, frozen=True):
    NAME = "company_name.claimed.1"
    company_id: int


class CompanyNameReleased(Event, frozen=True):
    NAME = "company_name.released.1"
    company_id: int


class CompanyDomainClaimed(Event, frozen=True):
    NAME = "company_domain.claimed.1"
    company_id: int


class CompanyDomainReleased(Event, frozen=True):
    NAME = "company_domain.released.1"
    company_id: int


class CompanyDetails(Struct, frozen=True):
    name: str = ""
    default_group: int = 0
    address: str = ""
    note: str = ""


class Company(Struct, frozen=True):
    company_id: int = 0
    details: CompanyDetails = CompanyDetails()
    domains: tuple[str, ...] = ()
    blocked: bool = False
    disabled: bool = False
    deleted: bool = False


def evolve(company: Company, event: Event) -> Company:
    match event:
        case CompanyCreated():
            return Company(company_id=event.company_id, details=_details_of(event))
        case CompanyChanged():
            return replace(company, details=_details_of(event))
        case CompanyDomainAdded():
            return replace(company, domains=(*company.domains, event.domain))
        case CompanyDomainRemoved():
            rest = tuple(each for each in company.domains if each != event.domain)
            return replace(company, domains=rest)
        case CompanyWasBlocked():
            return replace(company, blocked=True)
        case CompanyWasDisabled():
            return replace(company, disabled=True)
        case CompanyWasRestored():
            return replace(company, blocked=False, disabled=False)
        case CompanyWasDeleted():
            return replace(company, deleted=True)
    return company


def _details_of(event: CompanyCreated | CompanyChanged) -> CompanyDetails:
    return CompanyDetails(
        name=event.name,
        default_group=event.default_group,
        address=event.address,
        note=event.note,
    )


COMPANIES = Aggregate("company", Company(), evolve)


def evolve_claim(company_id: int, event: Event) -> int:
    match event:
        case CompanyNameClaimed() | CompanyDomainClaimed():
            return event.company_id
        case CompanyNameReleased() | CompanyDomainReleased():
            return 0
    return company_id


COMPANY_NAMES: Aggregate[int] = Aggregate("company_name", 0, evolve_claim)
"""Folded name -> company id, 0 while no company has it."""
COMPANY_DOMAINS: Aggregate[int] = Aggregate("company_domain", 0, evolve_claim)
"""Domain of e-mails -> company id, 0 while no company has it."""


def create_company(
    work: Work,
    *,
    name: str,
    default_group: int = 0,
    address: str = "",
    note: str = "",
    domains: Iterable[str] = (),
    users: Iterable[int] = (),
) -> int:
    """The new company's id. Raises CompanyNameTaken, CompanyDomainTaken, GroupNotFound, GroupNotActive, UserNotFound."""
    if default_group:
        active_group(work, default_group)
    company_id = work.take("company")
    _claim_name(work, company_id, name)
    created = CompanyCreated(
        company_id=company_id, name=name, default_group=default_group, address=address, note=note
    )
    work.record(COMPANIES, company_id, created)
    _add_domains(work, company_id, domains)
    for user_id in users:
        _join(work, existing_user(work, user_id), company_id, "hand")
    return company_id


def change_company(
    work: Work,
    *,
    company_id: int,
    add_domains: Iterable[str] = (),
    remove_domains: Iterable[str] = (),
    add_users: Iterable[int] = (),
    remove_users: Iterable[int] = (),
    **changes: Any,
) -> int:
    """`changes`: fields of CompanyDetails. What is so already is no event.

    Raises CompanyNotFound and what `create_company` raises.
    """
    company = existing_company(work, company_id)
    details = replace(company.details, **changes)
    if details.default_group and details.default_group != company.details.default_group:
        active_group(work, details.default_group)
    if folded(details.name) != folded(company.details.name):
        _claim_name(work, company_id, details.name)
        _release_name(work, company)
    if details != company.details:
        changed = CompanyChanged(company_id=company_id, **asdict(details))
        work.record(COMPANIES, company_id, changed)
    _remove_domains(work, company_id, remove_domains)
    _add_domains(work, company_id, add_domains)
    for user_id in remove_users:
        if existing_user(work, user_id).company_id == company_id:
            work.record(USERS, user_id, UserLeftCompany(user_id=user_id, company_id=company_id))
    for user_id in add_users:
        _join(work, existing_user(work, user_id), company_id, "hand")
    return company_id


def block_company(work: Work, *, company_id: int) -> int:
    """Raises CompanyNotFound."""
    if not existing_company(work, company_id).blocked:
        work.record(COMPANIES, company_id, CompanyWasBlocked(company_id))
    return company_id


def disable_company(work: Work, *, company_id: int) -> int:
    """Raises CompanyNotFound."""
    if not existing_company(work, company_id).disabled:
        work.record(COMPANIES, company_id, CompanyWasDisabled(company_id))
    return company_id


def restore_company(work: Work, *, company_id: int) -> int:
    """Raises CompanyNotFound."""
    company = existing_company(work, company_id)
    if company.blocked or company.disabled:
        work.record(COMPANIES, company_id, CompanyWasRestored(company_id))
    return company_id


def delete_company(work: Work, *, company_id: int) -> int:
    """For good: its name and domains are free. Raises CompanyNotFound."""
    company = existing_company(work, company_id)
    _release_name(work, company)
    _remove_domains(work, company_id, company.domains)
    work.record(COMPANIES, company_id, CompanyWasDeleted(company_id))
    return company_id


def existing_company(work: Work, company_id: int) -> Company:
    """A company that is not deleted for good; it may be blocked or disabled. Raises CompanyNotFound."""
    company = work.load(COMPANIES, company_id)
    if not company.company_id or company.deleted:
        raise CompanyNotFound(company_id)
    return company


def company_of(work: Work, user: User) -> Company | None:
    """None if the user has none, or had one that is deleted."""
    if not user.company_id:
        return None
    company = work.load(COMPANIES, user.company_id)
    return None if company.deleted else company


def join_named_company(work: Work, user_id: int, name: str) -> None:
    """The company of that name, made if there is none."""
    if not folded(name):
        return
    company_id = work.load(COMPANY_NAMES, folded(name)) or create_company(work, name=name.strip())
    _join(work, work.load(USERS, user_id), company_id, "name")


def put_into_company(work: Work, *, user_id: int, name: str) -> int:
    """By hand: into the company of that name, made if there is none; "" takes the user out of theirs. Raises UserNotFound."""
    user = existing_user(work, user_id)
    if folded(name):
        company_id = work.load(COMPANY_NAMES, folded(name)) or create_company(
            work, name=name.strip()
        )
        _join(work, user, company_id, "hand")
    elif user.company_id:
        work.record(USERS, user_id, UserLeftCompany(user_id=user_id, company_id=user.company_id))
    return user_id


def join_company_of_domain(work: Work, user_id: int, email: str) -> None:
    """`email`: normalised. Nothing happens if no company has its domain."""
    company_id = work.load(COMPANY_DOMAINS, email.rpartition("@")[2])
    if company_id:
        _join(work, work.load(USERS, user_id), company_id, "domain")


def _join(work: Work, user: User, company_id: int, reason: CompanyReason) -> None:
    if user.company_id != company_id:
        joined = UserJoinedCompany(
            user_id=user.user_id, company_id=company_id, left=user.company_id, reason=reason
        )
        work.record(USERS, user.user_id, joined)


def _add_domains(work: Work, company_id: int, domains: Iterable[str]) -> None:
    for domain in domains:
        taken_by = work.load(COMPANY_DOMAINS, domain)
        if taken_by == company_id:
            continue
        if taken_by:
            raise CompanyDomainTaken(domain, taken_by)
        work.record(COMPANY_DOMAINS, domain, CompanyDomainClaimed(company_id))
        work.record(COMPANIES, company_id, CompanyDomainAdded(company_id, domain))


def _remove_domains(work: Work, company_id: int, domains: Iterable[str]) -> None:
    for domain in domains:
        if work.load(COMPANY_DOMAINS, domain) == company_id:
            work.record(COMPANY_DOMAINS, domain, CompanyDomainReleased(company_id))
            work.record(COMPANIES, company_id, CompanyDomainRemoved(company_id, domain))


def _claim_name(work: Work, company_id: int, name: str) -> None:
    taken_by = work.load(COMPANY_NAMES, folded(name))
    if taken_by:
        raise CompanyNameTaken(taken_by)
    work.record(COMPANY_NAMES, folded(name), CompanyNameClaimed(company_id))


def _release_name(work: Work, company: Company) -> None:
    key = folded(company.details.name)
    work.record(COMPANY_NAMES, key, CompanyNameReleased(company.company_id))
