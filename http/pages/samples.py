"""Ready-made code for a channel: a customer's first message, with this channel's values filled in."""

from typing import Final, NamedTuple

CURL: Final = """\
curl -u 'EMAIL:API_KEY' {address}/api/cases.json \\
  -H 'Content-Type: application/json' -d '{{
  "case": {{"user_custom_id": "my_u_id123456", "channel": "{key}",
           "user_full_name": "Ann Example", "subject": "Hello",
           "content": "My order has not arrived"}}}}'"""

PYTHON: Final = """\
import requests

kanal = requests.Session()
kanal.auth = ("EMAIL", "API_KEY")
answer = kanal.post("{address}/api/cases.json", json={{"case": {{
    "user_custom_id": "my_u_id123456",
    "channel": "{key}",
    "user_full_name": "Ann Example",
    "subject": "Hello",
    "content": "My order has not arrived",
}}}})
answer.raise_for_status()
user_id = answer.json()["case"]["user_id"]"""

PHP: Final = """\
$request = curl_init("{address}/api/cases.json");
curl_setopt_array($request, [
    CURLOPT_USERPWD => "EMAIL:API_KEY",
    CURLOPT_HTTPHEADER => ["Content-Type: application/json"],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_POSTFIELDS => json_encode(["case" => [
        "user_custom_id" => "my_u_id123456",
        "channel" => "{key}",
        "user_full_name" => "Ann Example",
        "subject" => "Hello",
        "content" => "My order has not arrived",
    ]]),
]);
$user_id = json_decode(curl_exec($request))->case->user_id;"""

NODE: Final = """\
const answer = await fetch("{address}/api/cases.json", {{
  method: "POST",
  headers: {{
    "Content-Type": "application/json",
    Authorization: "Basic " + Buffer.from("EMAIL:API_KEY").toString("base64"),
  }},
  body: JSON.stringify({{ case: {{
    user_custom_id: "my_u_id123456",
    channel: "{key}",
    user_full_name: "Ann Example",
    subject: "Hello",
    content: "My order has not arrived",
  }} }}),
}});
const {{ user_id }} = (await answer.json()).case;"""

SAMPLES: Final = {"curl": CURL, "Python": PYTHON, "PHP": PHP, "Node": NODE}


class Sample(NamedTuple):
    title: str
    code: str


def samples(address: str, key: str) -> list[Sample]:
    return [Sample(title, code.format(address=address, key=key)) for title, code in SAMPLES.items()]
