// The editor of rules and macros: what its buttons do without leaving the page. Each of them works without this too: the server
// draws the form anew, here its new state is put in place.

const form = document.querySelector("[data-editor]");
let last = null; // the text field that was written in last: where variables go
let search = null; // what is being found out

form.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.matches("[data-part]")) {
    event.preventDefault();
    redraw(button);
  } else if (button?.matches("[data-what-if]")) {
    event.preventDefault();
    find(button);
  }
});

form.addEventListener("change", (event) => {
  if (event.target.matches("[data-again]")) redraw(null, event.target);
});

form.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-variables]")) last = event.target;
});

form.addEventListener("click", (event) => {
  const variable = event.target.closest("[data-insert]");
  if (variable) insert(variable);
  if (event.target.closest("[data-cancel]")) search?.abort();
});

function insert(variable) {
  const place = variable.closest(".action");
  const field = last && place.contains(last) ? last : place.querySelector("[data-variables]");
  if (!field) return;
  field.setRangeText(variable.dataset.insert, field.selectionStart ?? field.value.length, field.selectionEnd ?? field.value.length, "end");
  field.focus();
}

function send(button, signal) {
  const address = button?.getAttribute("formaction") ?? form.querySelector("[data-part]").getAttribute("formaction");
  const sent = new URLSearchParams(new FormData(form, button?.name ? button : null));
  return fetch(address, { method: "POST", body: sent, headers: { "X-Kanal-Part": "1" }, signal });
}

async function redraw(button, field = null) {
  if (form.classList.contains("busy")) return;
  form.classList.add("busy");
  try {
    const sent = new Map([...texts(form)].map(([each, field]) => [each, field.value]));
    const answer = await send(button);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("editor");
    if (!fresh) return location.assign(`${document.documentElement.dataset.root}/rules`);
    const name = (field ?? document.activeElement)?.name;
    const edit = button?.value;
    // What was typed meanwhile is not in the answer; where rows move, their names do too.
    if (!edit || edit.startsWith("add-")) {
      const typed = texts(fresh);
      for (const [each, field] of texts(form)) if (sent.has(each) && sent.get(each) !== field.value && typed.has(each)) typed.get(each).value = field.value;
    }
    document.getElementById("editor").replaceWith(fresh);
    const marked = fresh.querySelector("[autofocus]");
    const same = [...fresh.querySelectorAll("input, select, textarea, button")].find((each) => name && each.name === name && (each.tagName !== "BUTTON" || each.value === edit));
    (button?.name === "edit" ? (marked ?? same) : (same ?? marked))?.focus();
  } catch {
    unreachable();
  } finally {
    form.classList.remove("busy");
  }
}

function texts(place) {
  return new Map([...place.querySelectorAll("input:not([type]), input[type=text], textarea")].map((each) => [each.name, each]));
}

// The answer comes in parts: what has come by now is shown.
async function find(button) {
  search?.abort();
  const own = (search = new AbortController());
  const cancel = form.querySelector("[data-cancel]");
  const place = document.getElementById("what-if");
  cancel.hidden = false;
  try {
    const answer = await send(button, own.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += part.value;
      const shown = new DOMParser().parseFromString(text, "text/html").getElementById("what-if");
      if (shown) place.replaceChildren(...shown.childNodes);
    }
    const page = new DOMParser().parseFromString(text, "text/html");
    if (!answer.ok && page.getElementById("editor")) document.getElementById("editor").replaceWith(page.getElementById("editor"));
    else place.scrollIntoView({ block: "start", behavior: "smooth" });
  } catch {
    if (own.signal.aborted) place.replaceChildren();
    else unreachable();
  } finally {
    if (search === own) form.querySelector("[data-cancel]").hidden = true;
  }
}

function unreachable() {
  const line = document.createElement("p");
  line.className = "toast bad";
  line.textContent = document.body.dataset.failed;
  document.querySelector("[data-toasts]").append(line);
  setTimeout(() => line.remove(), 5000);
}
