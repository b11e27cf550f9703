// What a visitor writes stays in localStorage until the server has it; what the server knows comes
// over one stream of events, a message again whenever its state changes.

const AUTHORS = { visitor: "You", bot: "Bot", staff: "Support" };
const STATES = {
  unsent: "Not sent yet. Trying again…",
  waiting: "Sending to our people…",
  late: "Not delivered yet: our people cannot be reached. We keep trying.",
  delivered: "Delivered",
  refused: "This message was not accepted. Please write it in another way.",
};
const CALLING = "Calling our people…";
const WITH = {
  waiting: CALLING,
  late: CALLING,
  delivered: "Our people have your messages",
  staff: "You are talking to our people",
};
const UNSENT = "own-chat-unsent-";
const AGAIN_MS = 3000;
const NEAR_THE_END = 80;

const $ = (id) => document.getElementById(id);
const items = new Map(); // by the id that this page gave, or else the server's
const title = document.title;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
let unread = 0;
let answered = false;

// Showing.

function show(key, author, text, state, at) {
  const follow = atEnd() || state === "unsent";
  let item = items.get(key);
  if (!item) {
    item = document.createElement("li");
    item.append(part("span", "author"), part("p", "text"), part("span", "foot"));
    item.querySelector(".text").dir = "auto";
    items.set(key, item);
    $("messages").append(item);
  }
  item.className = `${author} ${state}`;
  item.querySelector(".author").textContent = AUTHORS[author];
  item.querySelector(".text").textContent = text;
  const time = at ? clock.format(new Date(at * 1000)) : "";
  item.querySelector(".foot").textContent = [time, STATES[state]].filter(Boolean).join(" · ");
  if (follow) toEnd();
  return item;
}

function atEnd() {
  const box = $("conversation");
  return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_THE_END;
}

function toEnd() {
  $("conversation").scrollTop = $("conversation").scrollHeight;
}

function part(tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  return element;
}

function received(message) {
  const key = message.client_id ?? `server-${message.id}`;
  const known = items.has(key);
  const item = show(key, message.author, message.text, message.state, message.at);
  item.dataset.id = message.id;
  // A message that another page of this visitor sent may arrive after a later one.
  const next = [...$("messages").children].find((other) =>
    other.dataset.id ? Number(other.dataset.id) > message.id : other.matches(".unsent"),
  );
  if ((next ?? null) !== item.nextElementSibling) $("messages").insertBefore(item, next ?? null);
  localStorage.removeItem(UNSENT + key);
  answered ||= message.author === "staff";
  const now = WITH[answered ? "staff" : message.state];
  if (now) {
    $("who").textContent = now;
    $("suggestions").hidden = true;
  }
  if (!known && message.author === "staff" && document.hidden) {
    unread += 1;
    document.title = `(${unread}) ${title}`;
  }
}

// Sending.

const queue = Object.keys(localStorage).filter((key) => key.startsWith(UNSENT)).sort();
let sending = false;

function say(text) {
  const random = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const id = `${Date.now()}-${random}`;
  localStorage.setItem(UNSENT + id, text);
  show(id, "visitor", text, "unsent").querySelector(".foot").textContent = "";
  queue.push(UNSENT + id);
  send();
}

async function send() {
  if (sending) return;
  sending = true;
  while (queue.length) {
    const key = queue[0];
    const text = localStorage.getItem(key);
    if (text === null || (await post(key.slice(UNSENT.length), text))) {
      localStorage.removeItem(key);
      queue.shift();
    } else {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
  sending = false;
}

// Whether it is over: taken by the server, or refused for good.
async function post(id, text) {
  try {
    const answer = await fetch("/messages", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ id, text }),
    });
    if (answer.ok) return true;
    if (answer.status === 401) await fetch("/"); // the server knows this cookie no more: a new one
    if (answer.status === 400) {
      show(id, "visitor", text, "refused");
      return true;
    }
  } catch {
    // Offline, or the server is being restarted.
  }
  if (items.get(id)?.dataset.id) return true; // the answer was lost, but the stream has shown it
  show(id, "visitor", text, "unsent");
  return false;
}

// Listening. A browser connects again by itself, with Last-Event-ID, unless it got another answer.

function listen() {
  const stream = new EventSource("/stream");
  stream.onopen = () => connection("");
  stream.onmessage = (event) => received(JSON.parse(event.data));
  stream.onerror = () => {
    connection("The connection is lost. Trying again…");
    if (stream.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_MS);
  };
}

async function again() {
  try {
    await fetch("/"); // the server knows this cookie no more: a new one
  } catch {
    // The next try will tell.
  }
  listen();
}

function connection(text) {
  $("connection").textContent = text;
  $("connection").hidden = !text;
}

// What the visitor does.

function submit() {
  const text = $("text").value;
  if (!text.trim()) return;
  $("text").value = "";
  fit();
  say(text);
}

// The field grows with its text; the last message stays in sight above it.
function fit() {
  const follow = atEnd();
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
  if (follow) toEnd();
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("text").addEventListener("input", fit);
$("text").addEventListener("keydown", (event) => {
  const onTouch = matchMedia("(pointer: coarse)").matches; // there Enter is the only way to a new line
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !onTouch) {
    event.preventDefault();
    submit();
  }
});
$("suggestions").addEventListener("click", (event) => {
  if (event.target.matches("button")) say(event.target.textContent);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    unread = 0;
    document.title = title;
  }
});

for (const key of queue) show(key.slice(UNSENT.length), "visitor", localStorage.getItem(key), "unsent");
listen();
send();
