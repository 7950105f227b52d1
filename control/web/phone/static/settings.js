/** Settings: which microphone, loudspeaker and bell, whether pushes wake this browser, installing, signing out. */

import { useSink } from "./ring.js";

const $ = (id) => document.getElementById(id);
let offer; // the browser's own question, kept until it is asked for

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  offer = event;
  $("install").hidden = false;
});
addEventListener("appinstalled", () => ($("install").hidden = true));

/** What is heard and spoken by: `kind` is the browser's word for it. */
const DEVICES = {
  microphone: { kind: "audioinput", what: "microphone", use: (phone, id) => phone.useMicrophone(id) },
  speaker: {
    kind: "audiooutput",
    what: "loudspeaker",
    use: (phone, id) => Promise.all([phone.useSpeaker(id), useSink("ringback", id)]),
  },
  ringer: { kind: "audiooutput", what: "bell", use: (_, id) => useSink("incoming", id) },
};

/** Wire the settings of a phone that was just opened. */
export function openSettings({ phone, worker, store, said, signOut }) {
  const media = navigator.mediaDevices;
  for (const name of ["speaker", "ringer"]) $(`${name}-field`).hidden = !("setSinkId" in HTMLMediaElement.prototype);

  /** Show what there is to choose from, and say which choice is not there now: it is kept, and used when it is back. */
  async function listDevices() {
    const found = (await media?.enumerateDevices()) ?? [];
    const absent = [];
    for (const [name, { kind, what }] of Object.entries(DEVICES)) {
      const there = found.filter((device) => device.kind === kind && device.deviceId);
      const chosen = (await store.get(name)) ?? {};
      if (!fill($(name), there, chosen)) absent.push(`The ${what} “${chosen.label}” is not plugged in.`);
    }
    $("absent").textContent = absent.length ? `${absent.join(" ")} The system’s choice is used until it is back.` : "";
  }

  async function changed() {
    await listDevices();
    // A loudspeaker that is back is used again; a microphone is asked for with the next call.
    for (const name of ["speaker", "ringer"]) await DEVICES[name].use(phone, (await store.get(name))?.id ?? "");
  }

  async function showPush() {
    const subscribed = await worker?.pushManager?.getSubscription().catch(() => null);
    const on = Boolean(subscribed) && (await store.get("push")) === true;
    $("push").textContent = on ? "Ring only while this page is open" : "Let calls wake this browser";
    $("push").dataset.on = String(on);
    $("push").hidden = !phone.account.vapid_key || !worker?.pushManager;
    $("push-words").textContent = on
      ? "Calls are announced even when this page is closed, as long as the browser runs."
      : phone.account.vapid_key
        ? "Calls ring while this page is open."
        : "Calls ring while this page is open. Web Push is not set up on this Nightbell.";
  }

  for (const [name, { use }] of Object.entries(DEVICES)) {
    $(name).onchange = async ({ target: { value, selectedOptions } }) => {
      await store.set(name, { id: value, label: selectedOptions[0].text });
      await use(phone, value).catch((error) => ($("trouble").textContent = said(error)));
      await listDevices();
    };
  }

  $("push").onclick = async () => {
    const on = $("push").dataset.on === "true";
    try {
      await (on ? phone.disablePush(worker) : phone.enablePush(worker));
      await store.set("push", !on);
    } catch (error) {
      $("push-words").textContent = said(error);
      return;
    }
    showPush();
  };
  $("install").onclick = async () => {
    await offer?.prompt();
    $("install").hidden = true;
  };
  $("sign-out").onclick = signOut;
  $("settings").ontoggle = () => $("settings").open && listDevices();
  media?.addEventListener("devicechange", changed);
  openSettings.refresh = showPush;
  changed();
  showPush();
}

/** Offer these devices; false if what was chosen is not among them. */
function fill(select, devices, { id = "", label = "" }) {
  // Until the microphone was allowed once, browsers tell neither names nor ids: `devices` is empty then.
  const known = devices.filter(({ deviceId }) => deviceId !== "default" && deviceId !== "communications");
  const options = known.map((device, i) => new Option(device.label || `Device ${i + 1}`, device.deviceId));
  const there = !id || !known.length || known.some(({ deviceId }) => deviceId === id);
  if (id && !known.some(({ deviceId }) => deviceId === id)) options.push(new Option(label, id));
  select.replaceChildren(select.options[0], ...options);
  select.value = id;
  return there;
}
