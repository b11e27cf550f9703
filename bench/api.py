"""The few calls that set a measurement up."""

import json
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

from load import basic
from processes import ADMIN_EMAIL, ADMIN_KEY, ADMIN_PASSWORD, Failed, Server

HEADERS = basic(ADMIN_EMAIL, ADMIN_KEY)
CONTENT = (
    "Здравствуйте! The parcel was to arrive on Tuesday; tracking says that it was handed over "
    "in another town. Order 000123, paid by card.\r\nCould you find out where it is? 📦 Thank you."
)
"""About what people write: two sentences, not all of them ASCII."""


class Case(NamedTuple):
    case_id: int
    user_id: int


class Api:
    """One connection to a Kanal."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=30)

    def call(self, method: str, path: str, data: Any = None, *, status: int = 200) -> Any:
        """Raises Failed for any other status."""
        body = None if data is None else json.dumps(data).encode()
        headers = HEADERS | ({"Content-Type": "application/json"} if body else {})
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != status:
            raise Failed(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text) if text else None

    def create_channel(self, webhook_url: str) -> int:
        channel = {"title": "Bench", "webhook_url": webhook_url, "channel_type": "sync"}
        path = "/api/custom_channels.json"
        answer = self.call("POST", path, {"custom_channel": channel}, status=201)
        return int(answer["custom_channel"]["channel_id"])

    def move_channel(self, channel_id: int, webhook_url: str) -> None:
        moved = {"custom_channel": {"webhook_url": webhook_url}}
        self.call("PUT", f"/api/custom_channels/{channel_id}.json", moved)

    def waiting(self) -> int:
        """Deliveries that have not ended."""
        path = "/api/deliveries.json?state=pending&limit=1"
        return int(self.call("GET", path)["total_count"])

    def open_case(self, channel_id: int, external_id: str) -> Case:
        opened = self.call("POST", "/api/cases.json", new_case(channel_id, external_id), status=201)
        return Case(int(opened["case"]["case_id"]), int(opened["case"]["user_id"]))

    def open_cases(self, channel_id: int, number: int) -> list[Case]:
        return [self.open_case(channel_id, f"bench-{channel_id}-{at}") for at in range(number)]


class Browser:
    """The administrator, signed in."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._headers = {"Origin": f"http://127.0.0.1:{server.port}"}
        form = urlencode({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
        headers = self._headers | {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", "/sign-in", form, headers)
        answer = self._connection.getresponse()
        answer.read()
        cookie = answer.getheader("Set-Cookie")
        if answer.status != 303 or not cookie:
            raise Failed(f"signing in: {answer.status}")
        self._headers["Cookie"] = cookie.partition(";")[0]

    def get(self, path: str) -> None:
        """Raises Failed unless it is there."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Failed(f"GET {path}: {answer.status} {text[:500]!r}")


def new_case(channel_id: int, external_id: str) -> dict[str, Any]:
    return {
        "case": {
            "user_custom_id": external_id,
            "user_full_name": "Анна Example",
            "channel": f"cch{channel_id}",
            "subject": "Where is my parcel?",
            "content": CONTENT,
        }
    }


def user_messages(cases: list[Case]) -> list[dict[str, Any]]:
    """Requests for the load, one for each case."""
    return [
        {
            "path": f"/api/cases/{case.case_id}/messages.json",
            "body": {"message": {"content": CONTENT, "user_id": case.user_id}},
        }
        for case in cases
    ]


def staff_replies(case_ids: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "path": f"/api/cases/{case_id}/messages.json",
            "body": {"message": {"content": CONTENT}},
        }
        for case_id in case_ids
    ]


def load_job(
    server: Server, requests: list[dict[str, Any]], *, connections: int, seconds: float, **more: Any
) -> dict[str, Any]:
    """For load.py; `more`: warm_up, rate, most, keep, status."""
    return {
        "port": server.port,
        "headers": HEADERS,
        "requests": requests,
        "connections": connections,
        "seconds": seconds,
        **more,
    }
