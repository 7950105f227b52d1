// Keeps a page as new as what it tells: the server sends it whole each time that something has changed.
"use strict";

const source = new EventSource(`/live${location.pathname}${location.search}`);
const shown = (main) => main.querySelector("[data-news]")?.textContent.trim() ?? "";
let news = shown(document.querySelector("main"));

// What had the focus is found again by its id, or by where it leads to.
function twin(element, main) {
  if (!element || element === document.body) return null;
  const name = element.id ? "id" : element.hasAttribute("href") ? "href" : "aria-label";
  const value = element.getAttribute(name);
  return value && main.querySelector(`${element.localName}[${name}="${CSS.escape(value)}"]`);
}

source.addEventListener("message", (event) => {
  const page = new DOMParser().parseFromString(event.data, "text/html");
  const old = document.querySelector("main");
  const fresh = document.importNode(page.querySelector("main"), true);
  if (old.innerHTML !== fresh.innerHTML) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const scrolled = [...old.querySelectorAll(".scroll")].map((element) => element.scrollLeft);
    old.replaceWith(fresh);
    document.title = page.title;
    fresh.querySelectorAll(".scroll").forEach((element, index) => {
      element.scrollLeft = scrolled[index] ?? 0;
    });
    twin(focused, fresh)?.focus({ preventScroll: true });
    if (shown(fresh) !== news) {
      news = shown(fresh);
      document.getElementById("news").textContent = news;
    }
  }
  // A page that is live no longer comes without this script.
  if (!page.querySelector("script[src$='/live.js']")) source.close();
});
