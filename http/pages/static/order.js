// Lists that are put in order by dragging. The buttons beside each item do the same, also without this.

const token = document.querySelector("meta[name=token]").content;
let dragged = null;

grips();
new MutationObserver(grips).observe(document.getElementById("main"), { childList: true, subtree: true });

function grips() {
  for (const grip of document.querySelectorAll("[data-grip][hidden]")) grip.hidden = false;
}

document.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest("[data-grip]");
  if (!grip) return;
  event.preventDefault();
  dragged = grip.closest("[data-id]");
  dragged.classList.add("dragged");
  grip.setPointerCapture(event.pointerId);
});

document.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const list = dragged.parentElement;
  const others = [...list.children].filter((each) => each !== dragged);
  const next = others.find((each) => {
    const box = each.getBoundingClientRect();
    return event.clientY < box.top + box.height / 2;
  });
  if (next !== dragged.nextElementSibling || !next) list.insertBefore(dragged, next ?? null);
});

for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => {
    if (!dragged) return;
    const list = dragged.closest("[data-order]");
    dragged.classList.remove("dragged");
    dragged = null;
    const sent = new URLSearchParams({ token });
    for (const each of list.children) sent.append("order[]", each.dataset.id);
    fetch(list.dataset.order, { method: "POST", body: sent, headers: { "X-Kanal-Part": "1" } }).then(
      (answer) => answer.ok || location.reload(),
      () => location.reload(),
    );
  });
}
