/** All that a page of one's own needs: see docs/reference/browser-phone.md. */

import { Phone, redeem } from "./nightbell-phone.js";

const $ = (id) => document.getElementById(id);
let call;

$("link").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const account = await redeem($("code").value.trim().replace(/^.*#/, ""));
    const phone = new Phone(account);
    phone.addEventListener("state", () => ($("state").textContent = phone.words));
    phone.addEventListener("call", ({ detail }) => {
      call = detail;
      call.addEventListener("state", show);
      show();
    });
    $("dial").onsubmit = (submitted) => {
      submitted.preventDefault();
      phone.call($("number").value).catch(tell);
    };
    await phone.start();
    $("dial").hidden = false;
  } catch (error) {
    tell(error);
  }
});

$("answer").addEventListener("click", () => call.answer().catch(tell));
$("hangup").addEventListener("click", () => call.hangup());

function show() {
  $("call").textContent = `${call.name || call.number}: ${call.words}`;
  $("answer").hidden = call.state !== "incoming";
  $("hangup").hidden = call.state === "ended";
}

function tell(error) {
  $("state").textContent = error.message;
}
