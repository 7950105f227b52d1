/** Settings: which microphone, which loudspeaker, whether pushes wake this browser, installing, signing out. */

const $ = (id) => document.getElementById(id);
let offer; // the browser's own question, kept until it is asked for

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  offer = event;
  $("install").hidden = false;
});
addEventListener("appinstalled", () => ($("install").hidden = true));

/** Wire the settings of a phone that was just opened. */
export function openSettings({ phone, worker, store, said, signOut }) {
  const media = navigator.mediaDevices;
  $("speaker-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);

  async function listDevices() {
    const found = (await media?.enumerateDevices()) ?? [];
    fill($("microphone"), found.filter(({ kind }) => kind === "audioinput"), phone.microphone);
    fill($("speaker"), found.filter(({ kind }) => kind === "audiooutput"), phone.speaker);
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

  $("microphone").onchange = ({ target }) => choose("microphone", target.value, phone.useMicrophone(target.value));
  $("speaker").onchange = ({ target }) => choose("speaker", target.value, phone.useSpeaker(target.value));
  async function choose(key, value, done) {
    await store.set(key, value);
    await done.catch((error) => ($("trouble").textContent = said(error)));
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
  media?.addEventListener("devicechange", listDevices);
  openSettings.refresh = showPush;
  listDevices();
  showPush();
}

function fill(select, devices, chosen) {
  // Until the microphone was allowed once, browsers tell neither names nor ids.
  const known = devices.filter(({ deviceId }) => deviceId && deviceId !== "default" && deviceId !== "communications");
  const options = known.map(({ deviceId, label }, i) => new Option(label || `Device ${i + 1}`, deviceId));
  select.replaceChildren(select.options[0], ...options);
  select.value = known.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}
