"""Ready-made code for a channel, with its values filled in: a customer writes, and the answers of staff come in.

`EMAIL`, `API_KEY` and `SECRET` are for who copies it to put in: Kanal does not know them.
"""

from typing import Final, NamedTuple

from kanal.projections.channels import ChannelRow

WRITE_CURL: Final = """\
curl -u 'EMAIL:API_KEY' '{address}/api/cases.json' \\
  -H 'Content-Type: application/json' -d '{{
  "case": {{"user_custom_id": "my_u_id123456", "channel": "{key}",
           "user_full_name": "Ann Example", "subject": "Hello",
           "content": "My order has not arrived"}}}}'
"""

WRITE_PYTHON: Final = """\
import json
from base64 import b64encode
from urllib.request import Request, urlopen

case = {{
    "user_custom_id": "my_u_id123456",
    "channel": "{key}",
    "user_full_name": "Ann Example",
    "subject": "Hello",
    "content": "My order has not arrived",
}}
request = Request(
    "{address}/api/cases.json",
    data=json.dumps({{"case": case}}).encode(),
    headers={{
        "Authorization": "Basic " + b64encode(b"EMAIL:API_KEY").decode(),
        "Content-Type": "application/json",
    }},
)
with urlopen(request) as answer:
    made = json.load(answer)["case"]
print("Keep user_id", made["user_id"], "and case_id", made["case_id"])
"""

WRITE_PHP: Final = """\
<?php
$request = curl_init('{address}/api/cases.json');
curl_setopt_array($request, [
    CURLOPT_USERPWD => 'EMAIL:API_KEY',
    CURLOPT_HTTPHEADER => ['Content-Type: application/json'],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_POSTFIELDS => json_encode(['case' => [
        'user_custom_id' => 'my_u_id123456',
        'channel' => '{key}',
        'user_full_name' => 'Ann Example',
        'subject' => 'Hello',
        'content' => 'My order has not arrived',
    ]]),
]);
$case = json_decode(curl_exec($request))->case;
echo "Keep user_id $case->user_id and case_id $case->case_id\\n";
"""

WRITE_NODE: Final = """\
async function write() {{
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
  if (!answer.ok) throw new Error(await answer.text());
  const made = (await answer.json()).case;
  console.log(`Keep user_id ${{made.user_id}} and case_id ${{made.case_id}}`);
}}

write();
"""

TAKE_PYTHON: Final = """\
import base64, hashlib, hmac, json, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

KEY = base64.b64decode("SECRET".removeprefix("whsec_"))
seen = set()  # in your database, in the message's own transaction


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        given = self.headers.get("webhook-signature", "").split()
        digest = hmac.digest(KEY, f"{{name}}.{{at}}.".encode() + body, hashlib.sha256)
        right = "v1," + base64.b64encode(digest).decode()
        genuine = any(hmac.compare_digest(right, each) for each in given)
        if not genuine or abs(time.time() - int(at)) > 300:
            return self.answer(401)
        if name not in seen:
            seen.add(name)
            {parse_python}
            print(fields)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
"""

TAKE_PHP: Final = """\
<?php
$key = base64_decode(substr('SECRET', strlen('whsec_')));
$body = file_get_contents('php://input');
[$id, $at] = [$_SERVER['HTTP_WEBHOOK_ID'] ?? '', $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? ''];
$right = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
$genuine = false;
foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {{
    $genuine = hash_equals($right, $given) || $genuine;
}}
if (!$genuine || abs(time() - (int) $at) > 300) {{
    http_response_code(401);
    exit;
}}
{parse_php}
// Drop an $id that you have seen; show the customer $message['content'] only if $message['note'] is false or 0.
error_log($message['content']);
"""

TAKE_NODE: Final = """\
const {{ createHmac, timingSafeEqual }} = require("node:crypto");
const {{ createServer }} = require("node:http");

const key = Buffer.from("SECRET".slice("whsec_".length), "base64");
const seen = new Set(); // in your database, in the message's own transaction

createServer(async (request, answer) => {{
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const id = request.headers["webhook-id"];
  const at = request.headers["webhook-timestamp"];
  const right = Buffer.from("v1," + createHmac("sha256", key).update(`${{id}}.${{at}}.`).update(body).digest("base64"));
  const signatures = request.headers["webhook-signature"] ?? "";
  const genuine = signatures.split(" ").map((each) => Buffer.from(each))
    .some((given) => given.length === right.length && timingSafeEqual(given, right));
  if (!genuine || Math.abs(Date.now() / 1000 - at) > 300) return answer.writeHead(401).end();
  if (!seen.has(id)) {{
    seen.add(id);
    {parse_node}
    console.log(fields);
  }}
  answer.writeHead(200).end();
}}).listen(9000, "127.0.0.1");
"""

ASK_CURL: Final = """\
curl -u 'EMAIL:API_KEY' '{address}/api/custom_channels/{key}/outbox.json?wait=30'
# then with &after= and the cursor of the answer; acknowledge what you have stored:
curl -u 'EMAIL:API_KEY' -X PUT '{address}/api/custom_channels/{key}/outbox/acknowledge.json' \\
  -H 'Content-Type: application/json' -d '{{"cursor": "CURSOR"}}'
"""

ASK_PYTHON: Final = """\
import json, time
from base64 import b64encode
from urllib.request import Request, urlopen

HEADERS = {{
    "Authorization": "Basic " + b64encode(b"EMAIL:API_KEY").decode(),
    "Content-Type": "application/json",
}}


def ask(path, given=None):
    data = json.dumps(given).encode() if given else None
    url = "{address}/api/custom_channels/{key}/" + path
    request = Request(url, data, HEADERS, method="PUT" if given else "GET")
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["outbox"]


cursor = ""  # kept in your database
while True:
    try:
        page = ask(f"outbox.json?wait=30&after={{cursor}}")
        for delivery in page["deliveries"]:
            print(delivery["delivery_id"], delivery["body"])  # an id you have: drop it
        cursor = page["cursor"]
        if page["deliveries"]:
            ask("outbox/acknowledge.json", {{"cursor": cursor}})
    except OSError:  # what was not kept comes again
        time.sleep(5)
"""

ASK_PHP: Final = """\
<?php
function ask(string $path, ?array $given = null): ?array {{
    $request = curl_init('{address}/api/custom_channels/{key}/' . $path);
    curl_setopt_array($request, [
        CURLOPT_USERPWD => 'EMAIL:API_KEY',
        CURLOPT_HTTPHEADER => ['Content-Type: application/json'],
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 60,
    ] + ($given ? [CURLOPT_CUSTOMREQUEST => 'PUT', CURLOPT_POSTFIELDS => json_encode($given)] : []));
    return json_decode((string) curl_exec($request), true)['outbox'] ?? null;
}}

$cursor = ''; // kept in your database
while (true) {{
    $page = ask('outbox.json?wait=30&after=' . $cursor);
    if ($page === null) {{
        sleep(5); // what was not kept comes again
        continue;
    }}
    foreach ($page['deliveries'] as $delivery) {{
        echo $delivery['delivery_id'], ' ', $delivery['body'], "\\n"; // an id you have: drop it
    }}
    $cursor = $page['cursor'];
    if ($page['deliveries']) ask('outbox/acknowledge.json', ['cursor' => $cursor]);
}}
"""

ASK_NODE: Final = """\
const headers = {{
  "Content-Type": "application/json",
  Authorization: "Basic " + Buffer.from("EMAIL:API_KEY").toString("base64"),
}};

async function ask(path, given) {{
  const how = given ? {{ method: "PUT", headers, body: JSON.stringify(given) }} : {{ headers }};
  const answer = await fetch("{address}/api/custom_channels/{key}/" + path, how);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).outbox;
}}

async function follow() {{
  let cursor = ""; // kept in your database
  for (;;) {{
    try {{
      const page = await ask(`outbox.json?wait=30&after=${{cursor}}`);
      for (const each of page.deliveries) console.log(each.delivery_id, each.body); // an id you have: drop it
      cursor = page.cursor;
      if (page.deliveries.length) await ask("outbox/acknowledge.json", {{ cursor }});
    }} catch (error) {{ // what was not kept comes again
      console.error(error);
      await new Promise((resolve) => setTimeout(resolve, 5000));
    }}
  }}
}}

follow();
"""

PARSED: Final = {
    "form": {
        "parse_python": "fields = dict(parse_qsl(body.decode(), keep_blank_values=True))",
        "parse_php": "$message = $_POST['object'];",
        "parse_node": "const fields = Object.fromEntries(new URLSearchParams(body.toString()));",
    },
    "json": {
        "parse_python": 'fields = json.loads(body)["object"]',
        "parse_php": "$message = json_decode($body, true)['object'];",
        "parse_node": "const fields = JSON.parse(body).object;",
    },
}
"""How a body of that format is read."""

WRITE: Final = {"curl": WRITE_CURL, "Python": WRITE_PYTHON, "PHP": WRITE_PHP, "Node": WRITE_NODE}
TAKE: Final = {"Python": TAKE_PYTHON, "PHP": TAKE_PHP, "Node": TAKE_NODE}
ASK: Final = {"curl": ASK_CURL, "Python": ASK_PYTHON, "PHP": ASK_PHP, "Node": ASK_NODE}


class Sample(NamedTuple):
    title: str
    write: str
    """A customer writes."""
    take: str
    """What goes out comes in; "" where that language has none."""


def samples(address: str, key: str, channel: ChannelRow) -> list[Sample]:
    values = {"address": address, "key": key, **PARSED[channel.webhook.format]}
    take = ASK if channel.webhook.polling else TAKE
    return [
        Sample(title, code.format(**values), take.get(title, "").format(**values))
        for title, code in WRITE.items()
    ]
