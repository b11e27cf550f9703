// A page on which something goes on by itself that is no event: while it says so, it asks for itself anew.

const EVERY = 900; // milliseconds

function watch() {
  if (!document.querySelector("[data-watched]")) return;
  setTimeout(async () => {
    try {
      const answer = document.hidden ? null : await fetch(location.href, { headers: { "X-Kanal-Part": "1" } });
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
    if (here && !here.isEqualNode(part) && !here.contains(document.activeElement)) here.replaceWith(part);
    else if (here && !here.isEqualNode(part)) replaceKeepingFocus(here, part);
  }
}

function replaceKeepingFocus(here, part) {
  const place = [...here.querySelectorAll("a, button, input, select")].indexOf(document.activeElement);
  here.replaceWith(part);
  part.querySelectorAll("a, button, input, select")[place]?.focus({ preventScroll: true });
}

watch();
