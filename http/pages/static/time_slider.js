// The slider of a case's events: while it is moved the page of that moment is asked for and put in place, so the hand stays on it.
const form = document.querySelector("[data-slider]");
const range = form.elements.step;
const PAUSE = 120; // milliseconds between two questions while it is moved
let asking = null;
let waiting = null;

toEnd();
range.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(show, PAUSE, range.value);
});
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("click", (event) => {
  const way = event.target.closest(".slider-ways a");
  if (!way || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  range.value = new URL(way.href).searchParams.get("step");
  show(range.value).then(() => document.querySelector(`.slider-ways a[rel="${way.rel}"]`)?.focus());
});

async function show(step) {
  asking?.abort();
  asking = new AbortController();
  const address = `${form.action}?step=${step}`;
  try {
    const answer = await fetch(address, { headers: { "X-Kanal-Part": "1" }, signal: asking.signal });
    if (!answer.ok) return location.assign(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of page.querySelectorAll("[data-moment]")) document.getElementById(part.id).replaceWith(part);
    document.title = page.title;
    history.replaceState(null, "", address);
    toEnd();
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address);
  }
}

function toEnd() {
  const list = document.getElementById("past-messages");
  const place = list.querySelector(".of-event");
  if (place) place.scrollIntoView({ block: "nearest" });
  else list.scrollTop = list.scrollHeight;
}
