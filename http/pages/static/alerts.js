// Tells whoever looks elsewhere that customers wrote, in cases of theirs and in those that nobody has: a tone, a number in the
// title, a notification, as their account says. Of all pages of one browser that are hidden one listens, and none while any is
// looked at; which one, a lock decides, and browsers give locks over https and on the own machine alone.

const root = document.documentElement.dataset.root;
const wanted = new Set((document.body.dataset.alerts || "").split(" ").filter(Boolean));
const LOCK = "kanal-looked";
const AGAIN = 30000; // milliseconds after which a stream that was refused is asked for again, the next time twice as many
const LAST_AGAIN = 900000;
const QUIET = 3000; // between two tones
const COUNT = /^\(\d+\) /;

let letGo = () => null;
let unseen = new Set();
let soundedAt = 0;

askBrowser();
if (wanted.size && !document.body.hasAttribute("data-still") && navigator.locks && "BroadcastChannel" in window && document.querySelector("meta[name=token]")) {
  const pages = new BroadcastChannel("kanal");
  pages.addEventListener("message", ({ data }) => {
    if (data.looked) {
      seen();
      if (document.hidden) turn(pages);
    } else if (document.hidden) count(data.unseen);
  });
  document.addEventListener("visibilitychange", () => turn(pages));
  document.addEventListener("patched", () => count(0));
  turn(pages);
}

// Pages that are looked at share the lock; of the hidden ones the first gets it alone, once nobody looks at any.
function turn(pages) {
  letGo();
  if (!document.hidden) {
    seen();
    pages.postMessage({ looked: true });
  }
  const given = new AbortController();
  let release = () => null;
  let stop = () => null;
  const held = () => new Promise((done) => {
    release = done;
    if (given.signal.aborted) done();
    else if (document.hidden) stop = listen(pages);
  });
  navigator.locks.request(LOCK, { mode: document.hidden ? "exclusive" : "shared", signal: given.signal }, held).catch(() => null);
  letGo = () => {
    given.abort();
    stop();
    release();
  };
}

function listen(pages) {
  let source = null;
  let retry = null;
  let wait = AGAIN;
  const connect = () => {
    source = new EventSource(`${root}/live?watch=1`);
    source.addEventListener("open", () => (wait = AGAIN));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      retry = setTimeout(connect, wait);
      wait = Math.min(wait * 2, LAST_AGAIN);
    });
    source.addEventListener("arrived", (event) => {
      const { cases } = JSON.parse(event.data);
      cases.forEach((each) => unseen.add(each.case_id));
      count(unseen.size);
      pages.postMessage({ unseen: unseen.size });
      if (wanted.has("sound")) sound();
      if (wanted.has("notice")) cases.forEach(notify);
    });
  };
  connect();
  return () => {
    clearTimeout(retry);
    source.close();
  };
}

function seen() {
  unseen = new Set();
  count(0);
}

function count(number) {
  const title = document.title.replace(COUNT, "");
  const shown = number && wanted.has("title") ? `(${number}) ${title}` : title;
  if (document.title !== shown) document.title = shown;
}

// Two soft notes, made here. A page on which nobody has pressed anything yet may make none.
let audio = null;
async function sound() {
  if (Date.now() - soundedAt < QUIET || !("AudioContext" in window)) return;
  soundedAt = Date.now();
  audio ??= new AudioContext();
  if (audio.state !== "running") await Promise.race([audio.resume(), new Promise((done) => setTimeout(done, 500))]);
  if (audio.state !== "running") return;
  const [tone, loudness, now] = [audio.createOscillator(), audio.createGain(), audio.currentTime];
  tone.type = "sine";
  tone.frequency.setValueAtTime(659, now);
  tone.frequency.setValueAtTime(880, now + 0.12);
  loudness.gain.setValueAtTime(0.0001, now);
  loudness.gain.exponentialRampToValueAtTime(0.15, now + 0.02);
  loudness.gain.exponentialRampToValueAtTime(0.0001, now + 0.5);
  tone.connect(loudness).connect(audio.destination);
  tone.start(now);
  tone.stop(now + 0.5);
}

function notify({ case_id, name, subject }) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const notice = new Notification(name || "Kanal", { body: subject, tag: `kanal-${case_id}` });
  notice.addEventListener("click", () => {
    window.focus();
    location.assign(`${root}/cases/${case_id}`);
  });
}

// A browser notifies only once its owner has said so.
function askBrowser() {
  const box = document.querySelector("[data-ask-browser]");
  if (!box) return;
  document.querySelector("[data-unlistened]").hidden = Boolean(navigator.locks);
  const refuses = document.querySelector("[data-browser-refuses]");
  const say = () => (refuses.hidden = !box.checked || ("Notification" in window && Notification.permission !== "denied"));
  box.addEventListener("change", async () => {
    if (box.checked && "Notification" in window) await Notification.requestPermission();
    say();
  });
  say();
}
