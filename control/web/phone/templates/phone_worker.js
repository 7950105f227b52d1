// The phone's service worker: it shows what a push says, wakes the page, and keeps the page's files at hand, so that an
// incoming call does not wait for them.
const CACHE = "nightbell-phone-{{ version }}";
const FILES = {{ files | tojson }};
const PAGE = {{ url_for('phone.page') | tojson }};
const ICON = {{ url_for('phone.static', filename='icon-192.png') | tojson }};

addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
      await skipWaiting();
    })(),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("nightbell-phone-") && name !== CACHE) await caches.delete(name);
      }
      await clients.claim();
    })(),
  );
});

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !FILES.includes(url.pathname)) return;
  event.respondWith(caches.open(CACHE).then(async (cache) => (await cache.match(url.pathname)) ?? fetch(event.request)));
});

const SAID = {
  call: { title: "Incoming call", body: "Open the phone to answer" },
  message: { title: "New message", body: "" },
  voicemail: { title: "New voice message", body: "" },
};

addEventListener("push", (event) => event.waitUntil(pushed(event)));

async function pushed(event) {
  let said = {};
  try {
    said = event.data?.json() ?? {};
  } catch {
    // Not from a Nightbell that this worker knows. Something has to be shown all the same.
  }
  const { type = "call", call = "", caller } = said;
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  for (const page of pages) page.postMessage({ type, call });
  const tag = `nightbell-${call || type}`;
  if (type === "over") return over(tag);
  const { title, body } = SAID[type] ?? { title: "Nightbell", body: "Keeps your phone within reach" };
  await registration.showNotification(caller ? `${title}: ${caller}` : title, {
    body,
    tag,
    icon: ICON,
    badge: ICON,
    renotify: type === "call",
    requireInteraction: type === "call",
    silent: !(type in SAID),
    vibrate: type === "call" ? [400, 200, 400, 200, 400] : undefined,
    data: { type, call },
  });
}

async function over(tag) {
  // Browsers insist that each push shows something: it takes the place of the call's notification, and goes at once.
  await registration.showNotification("The call is over", { tag, icon: ICON, silent: true });
  for (const shown of await registration.getNotifications({ tag })) shown.close();
}

addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    (async () => {
      const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
      const page = pages.find((candidate) => new URL(candidate.url).pathname === PAGE);
      if (page) return page.focus();
      return clients.openWindow(PAGE);
    })(),
  );
});
