// Keeps what is marked `data-live` fresh, and shows times in the reader's own zone. Every page works without this file.
(() => {
  "use strict";
  const EVERY = 5000;
  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  const local = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.title = zoned.format(at);
    }
  };

  // What the reader is in the middle of stays as it is.
  const busy = (part) => (part.contains(document.activeElement) && document.activeElement !== document.body)
    || !getSelection().isCollapsed || part.querySelector("input:checked") !== null;

  const replace = (part, next) => {
    const open = [...part.querySelectorAll("details")].map((details) => details.open);
    part.replaceChildren(...next.childNodes);
    part.querySelectorAll("details").forEach((details, place) => { if (place < open.length) details.open = open[place]; });
    local(part);
  };

  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (next && !busy(part) && last.get(part) !== next.innerHTML) {
        last.set(part, next.innerHTML);
        replace(part, next);
      }
    }
  };

  const last = new Map([...document.querySelectorAll("[data-live]")].map((part) => [part, part.innerHTML]));
  local(document);
  if (!document.querySelector("[data-live]")) return;
  const status = document.getElementById("live");
  let failures = 0;
  const tick = async () => {
    if (document.visibilityState === "visible") {
      try {
        await refresh();
        failures = 0;
      } catch {
        failures += 1;
      }
      if (status) status.textContent = failures > 1 ? "Not live" : "Live";
    }
    // Whoever does not answer is asked less and less often, up to every few minutes.
    setTimeout(tick, EVERY * 2 ** Math.min(failures, 6));
  };
  if (status) status.hidden = false;
  setTimeout(tick, EVERY);
})();
