"""What the inbox finds and how it shows it."""

import pytest
from served_api import Api
from visiting import visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_was_just_said_is_found_and_shown_where_it_stands(shared_api: Api) -> None:
    api = shared_api
    await api.channel()
    case = await api.case(user_custom_id="x", subject="Delivery", content="Where is it?")
    said = "  ".join(["before"] * 20) + " the <parcels> & nothing else"
    await api.message(case["case_id"], user_id=case["user_id"], content=said)
    await api.message(case["case_id"], user_id=case["user_id"], content="Thanks")
    async with visitor(api.address) as anna:
        await anna.sign_in()
        found = await anna.get("/inbox?q=parcel")
        assert "the &lt;<mark>parcels</mark>&gt; &amp; nothing else" in found.text
        assert "before before" in found.text
        assert "Delivery" in found.text
        by_subject = await anna.get("/inbox?q=deliveries")
        assert "Delivery" in by_subject.text
        assert "Thanks" in by_subject.text
        for nothing in ("parcel missing", "%22", "*", "%F0%9F%A6%94", "x" * 5000):
            seen = await anna.get(f"/inbox?q={nothing}")
            assert (seen.status, "Nothing found" in seen.text) == (200, True), nothing
