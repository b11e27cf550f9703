// A page on which something goes on by itself that is no event: while it says so, it asks for itself anew.

const EVERY = 900; // milliseconds

function watch() {
  if (!document.querySelector("[data-watched]")) return;
  setTimeout(async () => {
    try {
      const answer = document.hidden ? null : await fetch(location.href, { headers: { "X-Kanal-Part": "1" } });
      if (answer?.status === 401 || answer?.status === 403) return location.reload();
      if (answer?.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The connection is lost for a moment; the next time tells.
    }
    watch();
  }, EVERY);
}

function put(page) {
  for (const part of page.querySelectorAll("[data-live]")) {
    const here = document.getElementById(part.id);
    if (here && !here.isEqualNode(part)) replace(here, part);
  }
}

// What is typed and not sent yet stays, and the hand where it is.
function replace(here, part) {
  for (const typed of here.querySelectorAll("input:not([type=hidden])")) {
    const same = typed.id && part.querySelector(`#${typed.id}`);
    if (same && typed.value !== typed.defaultValue) same.value = typed.value;
  }
  const focused = document.activeElement;
  const place = [...here.querySelectorAll("a, button, input, select")].indexOf(focused);
  const selection = focused?.matches("input") ? [focused.selectionStart, focused.selectionEnd] : null;
  here.replaceWith(part);
  const same = place < 0 ? null : part.querySelectorAll("a, button, input, select")[place];
  same?.focus({ preventScroll: true });
  if (selection?.[0] != null && same?.matches("input")) same.setSelectionRange(...selection);
}

watch();
