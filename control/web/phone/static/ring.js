/**
 * The tones of a phone, made on the spot: no files, and none when the browser forbids sound before a click. It may ring
 * elsewhere than where calls are heard.
 */

const PATTERNS = {
  // frequencies (Hz), seconds on, seconds off
  incoming: [[660, 880], 1.2, 1.6],
  ringback: [[425], 1, 4],
};

const contexts = {}; // one for each tone: a context has one loudspeaker
const sinks = {};
let playing;

/** By which loudspeaker a tone is heard from now on; empty: the system's choice. */
export async function useSink(name, id) {
  sinks[name] = id;
  await contexts[name]?.setSinkId?.(id).catch(() => {}); // unplugged: the system's choice goes on
}

function contextOf(name) {
  if (!contexts[name]) {
    contexts[name] = new AudioContext();
    if (sinks[name]) useSink(name, sinks[name]);
  }
  return contexts[name];
}

export function ring(name) {
  if (playing?.name === name) return;
  hush();
  if (!name) return;
  let context;
  try {
    context = contextOf(name);
  } catch {
    return;
  }
  context.resume();
  const [frequencies, on, off] = PATTERNS[name];
  const gain = context.createGain();
  gain.gain.value = 0;
  gain.connect(context.destination);
  const tones = frequencies.map((frequency) => {
    const tone = context.createOscillator();
    tone.frequency.value = frequency;
    tone.connect(gain);
    tone.start();
    return tone;
  });
  const loudness = name === "incoming" ? 0.12 : 0.05;
  const beat = () => {
    const now = context.currentTime;
    gain.gain.setTargetAtTime(loudness, now, 0.02);
    gain.gain.setTargetAtTime(0, now + on, 0.05);
  };
  beat();
  playing = { name, tones, gain, timer: setInterval(beat, (on + off) * 1000) };
}

export function hush() {
  if (!playing) return;
  clearInterval(playing.timer);
  for (const tone of playing.tones) tone.stop();
  playing.gain.disconnect();
  playing = undefined;
}
