import pytest

from kanal.domain.cases import case_number
from kanal.domain.errors import CaseNotFound, ChannelNotFound, UserNotFound
from kanal.http.ids import case_id_in, channel_id_in, channel_key, id_in


def test_the_largest_id_is_the_databases() -> None:
    assert id_in("9223372036854775807", UserNotFound) == 2**63 - 1


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "1e3", "x", " 1", "1,2", "٣", "9223372036854775808", "9" * 5000]
)
def test_what_cannot_be_an_id_is_the_id_of_nothing(text: str) -> None:
    with pytest.raises(UserNotFound):
        id_in(text, UserNotFound)
    with pytest.raises(CaseNotFound):
        case_id_in(text)
    with pytest.raises(ChannelNotFound):
        channel_id_in(text)


def test_a_case_is_named_by_its_id_or_its_number() -> None:
    assert case_id_in("21755012") == case_id_in(case_number(21755012)) == 21755012


def test_a_channel_is_named_by_its_id_or_its_key() -> None:
    assert channel_id_in("5") == channel_id_in(channel_key(5)) == 5
