// What an open page does by itself: it hears what changed, asks for itself anew, and puts the parts in place that differ.
// Every page reads and answers without it; there is nothing to build.

const root = document.documentElement.dataset.root;
const body = document.body;
const token = document.querySelector("meta[name=token]")?.content;
const REFRESH_PAUSE = 1000; // between two refreshes of a list, in milliseconds
const TYPING_EVERY = 3000;
const DRAFT_AFTER = 700;
const TOAST_FOR = 5000;
const DATE_AFTER = 2000;
const TICK = 60000; // how long something is due is said in minutes
const AGAIN = 5000; // after which a stream that was refused is asked for again, the next time twice as many
const LAST_AGAIN = 60000;
const GROWN = 360; // pixels up to which a text field grows with its text

keepZone();
if (token) {
  if (!body.hasAttribute("data-still")) live();
  forms();
  keyboard();
  menu();
  select();
  composer();
  beginning();
  ticking();
  for (const form of document.querySelectorAll("[data-with-files]")) chooser(form);
  toasts();
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) help();
    const back = event.target.closest("[data-back]");
    if (back) sessionStorage.list && (back.href = sessionStorage.list);
  });
  places();
  toEnd();
}

// Where one was in the list, and which cases stood there, for the way back and on to the next one.
function places() {
  const remember = () => (sessionStorage.cases = [...document.querySelectorAll("[data-row] > a")].map((link) => link.getAttribute("href")).join(" "));
  if (document.querySelector("[data-list]")) {
    sessionStorage.list = location.href;
    remember();
    document.addEventListener("patched", remember);
    const last = document.getElementById(`case-${sessionStorage.last}`);
    last?.classList.add("here");
    last?.scrollIntoView({ block: "nearest" });
  } else if (body.dataset.case) sessionStorage.last = body.dataset.case;
}

// The reader's zone, for the dates of the next page.
function keepZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`kanal_zone=${zone}`)) {
    document.cookie = `kanal_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }
}

// -- putting a page's new state in place --------------------------------------------------------

let refreshing = null;
let again = false;
let refreshedAt = 0;
let shut = false; // signed out, or without the second step that is needed: told once, and asked again when somebody comes back

function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  const wait = Math.max(0, refreshedAt + REFRESH_PAUSE - Date.now());
  refreshing = (async () => {
    await new Promise((done) => setTimeout(done, body.dataset.case ? 0 : wait));
    if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    again = false;
    try {
      // What is long to make is not made anew; lists and counts beside it are another page's too.
      const answer = await fetch(body.dataset.asks || location.href, { headers: { "X-Kanal-Part": "1" } });
      shut = answer.status === 401;
      if (shut) return gone();
      if (answer.status === 403 || answer.status === 404) shut = unseen(await answer.text());
      else if (answer.ok && body.hasAttribute("data-unseen")) location.reload();
      else if (answer.ok) patch(await answer.text());
    } catch {
      // The stream of events tells that the connection is lost, and connects again.
    }
    refreshedAt = Date.now();
  })().finally(() => {
    refreshing = null;
    if (again) refresh();
  });
  return refreshing;
}

// `own`: the form of this page that was answered so.
function patch(text, own = null) {
  const page = new DOMParser().parseFromString(text, "text/html");
  if (page.body.hasAttribute("data-refused")) return toast(page.querySelector("[data-reason]")?.textContent, true);
  const list = document.querySelector("[data-live-list]");
  const last = list?.lastElementChild?.getBoundingClientRect();
  const atEnd = last && last.top < document.getElementById("composer")?.getBoundingClientRect().top + 80;
  for (const part of page.querySelectorAll("[data-live]")) {
    const here = document.getElementById(part.id);
    if (!here || here.isEqualNode(part)) continue;
    if (!own && here.hasAttribute("data-keep-focus") && here.contains(document.activeElement) && isInUse(document.activeElement)) continue;
    replace(here, part, own);
  }
  for (const fresh of page.querySelectorAll("[data-live-list]")) {
    const here = document.getElementById(fresh.id);
    if (here) patchList(here, fresh);
  }
  if (!body.dataset.asks) document.title = page.title;
  body.dataset.position = page.body.dataset.position || body.dataset.position;
  if (list && atEnd) toEnd();
  document.dispatchEvent(new CustomEvent("patched", { detail: page }));
}

// A menu that may be open, or what is being typed.
function isInUse(control) {
  return control.tagName === "SELECT" || (control.matches("input, textarea") && control.value !== control.defaultValue);
}

function replace(here, part, own) {
  const checked = new Set([...here.querySelectorAll("[data-check]:checked")].map((box) => box.value));
  const focused = here.contains(document.activeElement) ? document.activeElement : null;
  const selection = focused?.matches("input, textarea") ? [focused.selectionStart, focused.selectionEnd] : null;
  const marked = here.querySelector(".here")?.id;
  keepEntered(here, part);
  for (const open of here.querySelectorAll("details[id][open]")) {
    const same = part.querySelector(`#${open.id}`);
    if (same && !open.contains(own)) same.open = true;
  }
  here.replaceWith(part);
  for (const box of part.querySelectorAll("[data-check]")) box.checked = checked.has(box.value);
  if (marked) document.getElementById(marked)?.classList.add("here");
  if (focused) {
    const same = [...part.querySelectorAll("a, button, select, input, textarea, summary")].find((each) => key(each) === key(focused));
    same?.focus({ preventScroll: true });
    if (selection?.[0] != null && same?.setSelectionRange) same.setSelectionRange(...selection);
  }
  selected();
}

// What is entered and not sent yet stays entered.
function keepEntered(here, part) {
  const fresh = new Map([...part.querySelectorAll("input, select, textarea")].map((each) => [key(each), each]));
  for (const control of here.querySelectorAll("input:not([type=hidden], [data-check]), select, textarea")) {
    const same = fresh.get(key(control));
    if (!same) continue;
    if (control.type === "checkbox" || control.type === "radio") {
      if (control.checked !== control.defaultChecked) same.checked = control.checked;
    } else if (control.tagName === "SELECT") {
      const chosen = control.selectedOptions[0];
      if (chosen && !chosen.defaultSelected && [...same.options].some((each) => each.value === chosen.value)) same.value = chosen.value;
    } else if (control.value !== control.defaultValue) same.value = control.value;
  }
}

function key(element) {
  const entered = element.matches("select, textarea, input:not([type=checkbox], [type=radio], [type=hidden])");
  const value = entered ? "" : element.value || "";
  return `${element.tagName} ${element.form?.getAttribute("action") || ""} ${element.getAttribute("href") || ""} ${element.name || ""} ${value}`;
}

function patchList(here, fresh) {
  const known = new Map([...here.children].map((each) => [each.id, each]));
  let place = here.firstElementChild;
  for (const each of [...fresh.children]) {
    const old = known.get(each.id);
    known.delete(each.id);
    if (old && old.isEqualNode(each)) {
      if (old !== place) here.insertBefore(old, place);
      else place = place.nextElementSibling;
      continue;
    }
    if (old) {
      if (old === place) place = place.nextElementSibling;
      const focused = old.contains(document.activeElement) ? key(document.activeElement) : null;
      old.replaceWith(each);
      if (focused) [...each.querySelectorAll("a, button")].find((one) => key(one) === focused)?.focus({ preventScroll: true });
    } else here.insertBefore(each, place);
  }
  for (const left of known.values()) left.remove();
}

function toEnd() {
  const list = document.querySelector("[data-live-list]");
  if (!list) return;
  list.scrollTop = list.scrollHeight;
  // On a narrow screen the whole page scrolls, and the case's details stand below what is written.
  const main = document.getElementById("main");
  const talk = list.closest(".talk");
  if (main.scrollHeight > main.clientHeight) main.scrollTop = talk.offsetTop + talk.offsetHeight - main.offsetTop - main.clientHeight;
}

// What is not for this reader any more is not left on the screen. True where they are led elsewhere.
function unseen(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const words = document.createElement("p");
  words.className = "alert bad";
  words.setAttribute("role", "alert");
  words.textContent = page.querySelector("[data-reason]")?.textContent.trim() || body.dataset.failed;
  const main = document.getElementById("main");
  const way = page.querySelector("[data-way]");
  if (way) words.append(" ", way);
  main.replaceChildren(...main.querySelectorAll("[data-toasts]"), words);
  body.setAttribute("data-unseen", "");
  document.title = page.title;
  return Boolean(way);
}

function gone() {
  toast(body.dataset.gone, true);
}

// -- what happens elsewhere ---------------------------------------------------------------------

function live() {
  const state = document.querySelector("[data-live-state]");
  const asked = new URLSearchParams({ after: body.dataset.position || "0", case: body.dataset.case || "0" });
  let lost = null;
  let retry = null;
  let source = null;
  let wait = AGAIN;
  const found = () => {
    clearTimeout(lost);
    lost = null;
    state.hidden = true;
  };
  const stop = () => {
    clearTimeout(retry);
    source?.close();
    source = null;
  };
  const connect = () => {
    stop();
    // A browser has six connections to a host: pages that nobody looks at hold none, and ask later for what they missed.
    if (document.hidden) return found();
    asked.set("after", body.dataset.position || "0");
    source = new EventSource(`${root}/live?${asked}`);
    source.addEventListener("open", () => {
      wait = AGAIN;
      found();
    });
    source.addEventListener("error", async () => {
      lost ??= setTimeout(() => (state.hidden = false), 1500);
      if (source?.readyState !== EventSource.CLOSED) return;
      // A refusal ends the stream for good; the page may still be signed in, so it asks, and tries again.
      await refresh();
      if (shut) return found();
      clearTimeout(retry);
      retry = setTimeout(connect, wait);
      wait = Math.min(wait * 2, LAST_AGAIN);
    });
    source.addEventListener("change", (event) => {
      const { cases, everything } = JSON.parse(event.data);
      if (!body.dataset.case || everything || cases.length) refresh();
      else refreshSoon();
    });
    source.addEventListener("company", (event) => company(JSON.parse(event.data)));
  };
  connect();
  document.addEventListener("visibilitychange", connect);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => event.persisted && (connect(), refresh()));
}

// On a conversation the counts beside it may lag a little.
let soon = null;
function refreshSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    refresh();
  }, 2500);
}

// How soon something is due changes by itself.
function ticking() {
  setInterval(() => !document.hidden && document.querySelector("[data-ticks]") && refresh(), TICK);
}

function company({ viewing, typing }) {
  const line = document.querySelector("[data-company]");
  if (!line) return;
  const words = [];
  if (viewing.length) words.push(line.dataset.viewing.replace("{names}", viewing.join(", ")));
  if (typing.length) words.push(line.dataset.typing.replace("{names}", typing.join(", ")));
  line.textContent = words.join(" · ");
  line.hidden = !words.length;
}

// -- forms --------------------------------------------------------------------------------------

const waiting = new Map(); // dates that may not be whole yet
// A draft on its way: what is sent waits for it, or it would come behind, and take the place of what that made of it.
let drafting = Promise.resolve();

function forms() {
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]");
    // A form that says what was there may also be told that nothing is.
    if (!form || (event.target.value === "" && !form.querySelector("[name^='was[']"))) return;
    // A date is changed once for each of its digits.
    if (event.target.type === "date") dated(event.target);
    else form.requestSubmit();
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-async]")) return;
    event.preventDefault();
    if (form.classList.contains("busy")) {
      if (form.matches("[data-auto]")) form.again = true;
      return;
    }
    const data = new FormData(form, event.submitter);
    form.classList.add("busy");
    try {
      await drafting;
      const answer = await send(form, data);
      if (answer.status === 401) return gone();
      const page = new DOMParser().parseFromString(answer.text, "text/html");
      if (answer.status >= 400) {
        const told = !form.dispatchEvent(new CustomEvent("refused", { detail: page, cancelable: true }));
        if (!told) toast(page.querySelector("[data-reason]")?.textContent || body.dataset.failed, true);
        if (form.matches("[data-auto]")) asBefore(form);
        return;
      }
      const other = new URL(answer.url);
      if (other.pathname !== location.pathname) {
        form.dispatchEvent(new CustomEvent("left"));
        return location.assign(answer.url);
      }
      form.dispatchEvent(new CustomEvent("done", { detail: page }));
      if (form.matches("[data-list]")) unselect(form);
      patch(answer.text, form);
      const notice = page.querySelector("[data-toast]");
      if (notice) toast(notice.textContent);
    } catch {
      toast(body.dataset.failed, true);
    } finally {
      form.classList.remove("busy");
      if (form.again) {
        // Something else was changed meanwhile; the form may be in place of the former one by now.
        form.again = false;
        const now = form.isConnected ? form : [...document.querySelectorAll("form.properties")].find((each) => each.getAttribute("action") === form.getAttribute("action"));
        now?.requestSubmit();
      }
    }
  });
}

// What was refused is not shown as if it were so; a text stays for its writer to mend.
function asBefore(form) {
  for (const menu of form.querySelectorAll("select")) menu.selectedIndex = Math.max(0, [...menu.options].findIndex((each) => each.defaultSelected));
}

function dated(field) {
  const done = () => {
    clearTimeout(waiting.get(field));
    field.removeEventListener("blur", done);
    waiting.delete(field);
    if (field.isConnected) field.form.requestSubmit();
  };
  if (!waiting.has(field)) field.addEventListener("blur", done);
  clearTimeout(waiting.get(field));
  waiting.set(field, setTimeout(done, DATE_AFTER));
}

// What a form is answered. Files take their time: how much of them has gone is shown.
function send(form, data) {
  // Its buttons may be called `action`, which hides the form's own.
  const address = form.getAttribute("action");
  const headers = { "X-Kanal-Token": token, "X-Kanal-Part": "1" };
  const progress = form.querySelector("[data-progress]");
  if (!progress || ![...data.values()].some((each) => each instanceof File && each.size)) {
    const content = form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
    return fetch(address, { method: "POST", body: content, headers }).then(async (answer) => ({ status: answer.status, url: answer.url, text: await answer.text() }));
  }
  return new Promise((answered, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      progress.hidden = false;
      if (event.lengthComputable) progress.value = event.loaded / event.total;
    });
    request.addEventListener("load", () => answered({ status: request.status, url: request.responseURL, text: request.responseText }));
    request.addEventListener("error", failed);
    request.send(data);
  }).finally(() => {
    progress.hidden = true;
    progress.value = 0;
  });
}

// -- choosing several ---------------------------------------------------------------------------

function select() {
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) {
      for (const box of document.querySelectorAll("[data-check]")) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-all], [data-check]")) selected();
  });
  let last = null;
  document.addEventListener("click", (event) => {
    if (!event.target.matches("[data-check]")) return;
    const boxes = [...document.querySelectorAll("[data-check]")];
    if (event.shiftKey && boxes.includes(last)) {
      const [from, to] = [boxes.indexOf(last), boxes.indexOf(event.target)].sort((one, other) => one - other);
      for (const box of boxes.slice(from, to + 1)) box.checked = event.target.checked;
      selected();
    }
    last = event.target;
  });
}

// What was chosen to be done with several is done.
function unselect(form) {
  for (const box of form.querySelectorAll("[data-check]")) box.checked = false;
  for (const menu of form.querySelectorAll(".bulk select")) menu.value = "";
  selected();
}

function selected() {
  const boxes = [...document.querySelectorAll("[data-check]")];
  const count = boxes.filter((box) => box.checked).length;
  const words = document.querySelector("[data-selected]");
  if (words) words.textContent = `${count} ${words.dataset.selected}`;
  const all = document.querySelector("[data-all]");
  if (all) {
    all.checked = count > 0 && count === boxes.length;
    all.indeterminate = count > 0 && count < boxes.length;
  }
}

// -- keyboard -----------------------------------------------------------------------------------

function keyboard() {
  // Whoever speaks to the browser, or leans on its keys, turns the single ones off (WCAG 2.1.4).
  const keys = document.querySelector("[data-keys]");
  keys.checked = localStorage.keys !== "off";
  keys.addEventListener("change", () => (localStorage.keys = keys.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      const form = event.target.closest("form[data-composer], form[data-begins]");
      if (form) {
        event.preventDefault();
        form.requestSubmit();
      }
      return;
    }
    if (event.key === "Escape" && writing) {
      // What would be saved by leaving it is as it was.
      if (writing.form?.matches("[data-auto]") && "defaultValue" in writing) writing.value = writing.defaultValue;
      return writing.blur();
    }
    if (writing || event.ctrlKey || event.metaKey || event.altKey || !keys.checked || document.querySelector("dialog[open]")) return;
    const act = { j: () => move(1), k: () => move(-1), x: mark, e: () => press("e"), t: () => press("t"), u: up, r: () => write("reply"), n: () => write("note"), c: () => document.querySelector("[data-new]")?.click(), "/": () => document.getElementById("q")?.focus(), "?": help }[event.key];
    if (event.key === "Enter" && here() && !event.target.closest("a, button")) {
      event.preventDefault();
      here().querySelector("a").click();
    } else if (act) {
      event.preventDefault();
      act();
    }
  });
}

let moved = 0; // where one was last
const here = () => document.querySelector("[data-row].here");

function move(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return neighbour(step);
  const at = rows.indexOf(here());
  // What one was at may have left the list.
  moved = Math.min(rows.length - 1, Math.max(0, at < 0 ? moved : at + step));
  const next = rows[moved];
  here()?.classList.remove("here");
  next.classList.add("here");
  next.querySelector("a").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

// From one conversation to the next of the list that one came from.
function neighbour(step) {
  const cases = (sessionStorage.cases || "").split(" ");
  const at = cases.indexOf(location.pathname);
  if (at >= 0 && cases[at + step]) location.assign(cases[at + step]);
}

// The button of that key: for what is selected, else for the case one is at.
function press(key) {
  const button = document.querySelector(`[data-key=${key}]`);
  if (!button) return;
  if (button.closest("[data-list]") && !document.querySelector("[data-check]:checked")) {
    if (!here()) return;
    mark();
  }
  button.click();
}

function mark() {
  const box = here()?.querySelector("[data-check]");
  if (!box) return;
  box.checked = !box.checked;
  selected();
}

function up() {
  document.querySelector("[data-back]")?.click();
}

function write(kind) {
  const chosen = document.querySelector(`[data-composer] input[value=${kind}]`);
  if (!chosen) return;
  chosen.checked = true;
  chosen.dispatchEvent(new Event("change", { bubbles: true }));
  document.querySelector("[data-content]").focus();
}

function help() {
  document.querySelector("[data-help-dialog]")?.showModal();
}

function menu() {
  const button = document.querySelector("[data-menu]");
  const nav = document.getElementById("nav");
  const set = (open) => {
    nav.classList.toggle("open", open);
    button.setAttribute("aria-expanded", open);
  };
  button?.addEventListener("click", () => set(!nav.classList.contains("open")));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#nav, [data-menu]")) set(false);
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && set(false));
}

// -- writing ------------------------------------------------------------------------------------

// What is begun is kept as a draft. `texts`: what is written; `also`: what belongs to it.
function drafts(form, texts, also) {
  const state = form.querySelector("[data-draft-state]");
  const begun = (written) => Object.values(written).some((each) => each.trim());
  let timer = null;
  // `unkept`: something was typed since; `kept`: the text as the server has it.
  const draft = { unkept: false, kept: texts().content, soon, now, stop };

  // One after the other, so that an older text does not come behind. `leaving`: at once; browsers send it also when the page is gone, but then 64 KiB at most.
  function now(leaving) {
    clearTimeout(timer);
    return (drafting = leaving ? keep(true) : drafting.then(() => keep(false)));
  }

  async function keep(leaving) {
    draft.unkept = false;
    const written = texts();
    const data = new URLSearchParams({ token, ...also(), ...written });
    const answer = await fetch(form.dataset.draft, { method: "POST", body: data, headers: { "X-Kanal-Part": "1" }, keepalive: leaving }).catch(() => null);
    if (answer?.status === 401) gone();
    if (answer?.ok) draft.kept = begun(written) ? written.content : "";
    // What was typed meanwhile is not kept yet.
    if (draft.unkept) return;
    if (!begun(texts())) state.textContent = "";
    else if (answer?.ok) state.textContent = state.dataset.kept;
    else state.textContent = answer?.status === 413 ? state.dataset.tooLong : state.dataset.unkept;
  }

  function soon() {
    draft.unkept = true;
    state.textContent = "";
    clearTimeout(timer);
    timer = setTimeout(now, DRAFT_AFTER, false);
  }

  // It was sent, so there is nothing to keep.
  function stop() {
    clearTimeout(timer);
    draft.unkept = false;
    draft.kept = "";
    state.textContent = "";
  }

  form.addEventListener("left", stop);
  addEventListener("pagehide", () => draft.unkept && now(true));
  return draft;
}

function beginning() {
  const form = document.querySelector("[data-begins]");
  if (!form) return;
  const { subject, content, person } = form.elements;
  const draft = drafts(form, () => ({ subject: subject.value, content: content.value }), () => ({ person: person.value, user: form.elements.user.value }));
  form.addEventListener("input", (event) => event.target.matches("[data-files]") || draft.soon());
}

function composer() {
  const form = document.querySelector("[data-composer]");
  if (!form) return;
  const text = form.querySelector("[data-content]");
  const files = form.querySelector("[data-files]");
  const chosen = chooser(form, document.querySelector("[data-live-list]"));
  const name = form.querySelector("[data-send-name]");
  let typedAt = 0;
  let sent = "";
  let sentFiles = [];

  const kind = () => form.elements.kind.value;
  const named = () => (name.textContent = kind() === "note" ? name.dataset.note : name.dataset.reply);
  const grow = () => {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight + 2, GROWN)}px`;
  };
  const draft = drafts(form, () => ({ content: text.value }), () => ({ kind: kind() }));
  text.addEventListener("input", () => {
    grow();
    draft.soon();
    if (kind() === "reply" && Date.now() - typedAt > TYPING_EVERY) {
      typedAt = Date.now();
      fetch(form.dataset.typing, { method: "POST", body: new URLSearchParams({ token }), headers: { "X-Kanal-Part": "1" } }).catch(() => null);
    }
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "kind") {
      named();
      if (text.value.trim()) draft.soon();
    }
  });
  form.addEventListener("submit", () => {
    if (form.classList.contains("busy")) return;
    sent = text.value;
    sentFiles = [...files.files];
  });
  const meanwhile = form.querySelector("[data-meanwhile]");
  form.addEventListener("refused", (event) => {
    const said = event.detail.querySelector("[data-meanwhile] > *");
    if (!said) return;
    // Now they know of it.
    event.preventDefault();
    meanwhile.replaceChildren(said);
    form.elements.seen.value = event.detail.querySelector("[name=seen]").value;
    patch(event.detail.documentElement.outerHTML);
    text.focus();
  });
  document.addEventListener("patched", (event) => {
    const seen = event.detail.querySelector("[name=seen]");
    if (seen && !text.value.trim() && !form.classList.contains("busy")) form.elements.seen.value = seen.value;
  });
  // What was taken back comes before what has been begun since; of that the server knows what is kept.
  const back = (event) => {
    if (!event.target.matches("[data-undo]")) return;
    const whole = event.detail.querySelector("[data-content]").value;
    const begun = text.value;
    const { kept } = draft;
    text.value = begun === kept || !whole.endsWith(kept) ? whole : whole.slice(0, whole.length - kept.length) + (kept ? "" : "\n\n") + begun;
    draft.kept = whole;
    // A note that was begun stays one: nothing of it goes out with the reply.
    if (!begun.trim() || kind() !== "note") form.elements.kind.value = event.detail.querySelector("[name=kind]:checked").value;
    named();
    if (text.value !== whole) draft.soon();
    grow();
    text.focus();
  };
  document.addEventListener("done", back, true);
  document.addEventListener("submit", (event) => event.target.matches("[data-undo]") && draft.unkept && draft.now(false), true);
  form.addEventListener("done", (event) => {
    draft.stop();
    meanwhile.replaceChildren();
    form.elements.once.value = event.detail.querySelector("[name=once]").value;
    form.elements.status.value = "";
    // What was written or added meanwhile is not sent yet.
    text.value = text.value.startsWith(sent) ? text.value.slice(sent.length) : text.value;
    if (text.value.trim()) draft.soon();
    chosen.keep((file) => !sentFiles.includes(file));
    grow();
    setTimeout(toEnd);
  });
  setInterval(countDown, 1000);

  named();
  grow();
}

// How long what waits can still be taken back.
const goesOut = new WeakMap();
function countDown() {
  for (const line of document.querySelectorAll("[data-left]")) {
    if (!goesOut.has(line)) goesOut.set(line, performance.now() + Number(line.dataset.left) * 1000);
    const left = Math.ceil((goesOut.get(line) - performance.now()) / 1000);
    line.textContent = left > 0 ? line.dataset.words.replace("{n}", left) : line.dataset.now;
  }
}

// Files of a form: chosen, dropped on it (or on `beside`), pasted into its text. What is too much is said before anything is sent.
function chooser(form, ...beside) {
  const files = form.querySelector("[data-files]");
  const list = form.querySelector("[data-chosen]");
  const most = list.dataset;
  let held = [];

  function take(kept, more) {
    const all = new DataTransfer();
    kept.forEach((each) => all.items.add(each));
    let together = kept.reduce((sum, each) => sum + each.size, 0);
    for (const file of more) {
      if (all.files.length >= Number(most.most)) {
        toast(most.tooMany, true);
        break;
      }
      if (file.size > Number(most.mostFile)) toast(most.tooLarge.replace("{name}", file.name), true);
      else if (together + file.size > Number(most.mostTogether)) toast(most.tooMuch.replace("{name}", file.name), true);
      else {
        together += file.size;
        all.items.add(file);
      }
    }
    files.files = all.files;
    held = [...all.files];
    show();
  }

  function show() {
    list.replaceChildren(...[...files.files].map((file) => {
      const item = document.createElement("li");
      item.className = "chip";
      const label = document.createElement("bdi");
      label.textContent = file.name;
      const off = document.createElement("button");
      off.type = "button";
      off.className = "chip-off";
      off.textContent = "×";
      off.setAttribute("aria-label", `× ${file.name}`);
      off.addEventListener("click", () => keep((each) => each !== file));
      item.append(label, off);
      return item;
    }));
  }

  const keep = (wanted) => take(held.filter(wanted), []);
  const add = (more) => take(held, more);

  files.addEventListener("change", () => add(files.files));
  for (const area of [form, ...beside].filter(Boolean)) {
    area.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      form.classList.add("over");
    });
    area.addEventListener("dragleave", () => form.classList.remove("over"));
    area.addEventListener("drop", (event) => {
      form.classList.remove("over");
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      add(event.dataTransfer.files);
    });
  }
  form.querySelector("[data-content]").addEventListener("paste", (event) => {
    // What comes with a text is a picture of that text.
    if (!event.clipboardData.files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    add(event.clipboardData.files);
  });
  return { add, keep };
}

// -- notices ------------------------------------------------------------------------------------

function toast(words, bad = false) {
  const place = document.querySelector("[data-toasts]");
  if (!place || !words) return;
  const line = document.createElement("p");
  line.className = bad ? "toast bad" : "toast";
  line.textContent = words.trim();
  place.append(line);
  setTimeout(() => line.remove(), TOAST_FOR);
}

function toasts() {
  const query = new URLSearchParams(location.search);
  if (query.has("done")) {
    query.delete("done");
    const rest = query.size ? `?${query}` : "";
    history.replaceState(null, "", location.pathname + rest + location.hash);
  }
  for (const line of document.querySelectorAll("[data-toast]")) setTimeout(() => line.remove(), TOAST_FOR);
}
