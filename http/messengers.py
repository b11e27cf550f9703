"""Ids in messengers and social networks made comparable: who is called by two spellings of one id is one user."""

from kanal.domain.identities import MessengerId
from kanal.domain.users import MessengerType
from kanal.http import contacts

FIELDS: dict[str, MessengerType] = {
    "user_telegram": "telegram",
    "user_telegram_data": "telegram",
    "user_whatsapp_phone": "whatsapp",
    "user_viber": "viber",
    "user_vkontakte": "vkontakte",
    "user_odnoklassniki": "odnoklassniki",
    "user_facebook": "facebook",
    "user_instagram": "instagram",
    "user_skype": "skype",
    "user_line": "line",
    "user_slack": "slack",
    "user_mattermost": "mattermost",
    "user_avito": "avito",
}
"""Fields of a request; of several that are given the first is the profile's identity."""

EXACT: frozenset[MessengerType] = frozenset({"viber", "line", "slack", "avito"})
"""Ids that machines made, in which the case of a letter counts. All others are names, which people type."""


class Blank(ValueError):
    pass


def messenger_id(field: str, given: str, region: str) -> MessengerId:
    """Raises ValueError with a sentence: Blank, or what is wrong with a phone."""
    type_ = FIELDS[field]
    text = given.strip()
    if not text.removeprefix("@"):
        raise Blank("must not be blank")
    if type_ == "whatsapp" or (type_ == "telegram" and text.startswith("+")):
        phone = contacts.phone(text, region)
        return MessengerId(type_, phone.normalised, phone.normalised, phone)
    normalised = text if type_ in EXACT else text.removeprefix("@").lower()
    return MessengerId(type_, text, normalised)
