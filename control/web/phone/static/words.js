/** What SIP's numbers mean, in words, and what to do. */

/** Why a REGISTER failed; `credential`: because of who we say we are. */
export function refusal(status, cause) {
  const credential = [401, 403, 404, 407].includes(status) || cause === "Authentication Error";
  if (credential) return { words: "Nightbell does not let this phone in. Trying again…", credential };
  const silent = !status || status === 408;
  return { words: silent ? "Nightbell does not answer. Trying again…" : `Nightbell answers ${status}. Trying again…`, credential };
}

const ENDS = {
  403: "The PBX does not allow this call",
  404: "There is no such number",
  408: "No answer",
  410: "This number is not in use any more",
  415: "The other end speaks no audio we do",
  480: "Nobody can be reached there now",
  481: "The call was over already",
  484: "The number is incomplete",
  486: "Busy",
  487: "Not answered",
  488: "The other end speaks no audio we do",
  500: "The call could not be set up",
  502: "The PBX cannot be reached",
  503: "The PBX is overloaded or down",
  504: "The PBX does not answer",
  600: "Busy",
  603: "Declined",
  604: "There is no such number",
};

const CAUSES = {
  "Connection Error": "The connection to Nightbell was lost",
  "Request Timeout": "No answer",
  "No Answer": "Missed",
  "User Denied Media Access": "The microphone is blocked",
  "WebRTC Error": "The browser could not set up audio",
  "Bad Media Description": "The other end speaks no audio we do",
  "RTP Timeout": "No audio came any more",
  "Missing SDP": "The call came without audio",
  "Dialog Error": "The call was over already",
  "Internal Error": "The call could not be set up",
};

/**
 * How a call ended, from JsSIP's `failed` or `ended`. `outcome`: "done", "missed", "elsewhere", "declined", "failed".
 */
export function ending({ direction, answered, originator, cause, message }) {
  const ours = originator === "local";
  if (answered) return { outcome: "done", words: CAUSES[cause] ?? (ours ? "You hung up" : "The other side hung up") };
  if (direction === "in") {
    const reason = message?.getHeader?.("Reason") ?? "";
    if (/cause\s*=\s*200/.test(reason)) return { outcome: "elsewhere", words: "Answered on another device" };
    if (ours && cause !== "No Answer" && !CAUSES[cause]) return { outcome: "declined", words: "You declined" };
    return { outcome: "missed", words: CAUSES[cause] ?? "Missed" };
  }
  const status = message?.status_code ?? 0;
  if (ours && !CAUSES[cause]) return { outcome: "cancelled", words: "You gave up" };
  return { outcome: "failed", words: ENDS[status] ?? CAUSES[cause] ?? `The call failed${status ? ` (${status})` : ""}` };
}
