// The player: sound or a silent clock, the controls, the keyboard.
const $ = (id) => document.getElementById(id);

function soundPlayer(text, type) {
  // A blob can be seeked in by every browser, Safari too; a long data: address cannot.
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const audio = new Audio(URL.createObjectURL(new Blob([bytes], { type })));
  audio.preload = "auto";
  for (const name of ["preservesPitch", "webkitPreservesPitch", "mozPreservesPitch"])
    if (name in audio) audio[name] = true;
  // Some browsers tell the time in coarse steps; between two of them it goes on by the clock.
  let told = 0, toldAt = 0;
  const player = {
    hasSound: true,
    get time() {
      const time = audio.currentTime, at = performance.now();
      if (time !== told || audio.paused) { told = time; toldAt = at; }
      return audio.paused ? time : time + Math.min(0.25, (at - toldAt) / 1000) * audio.playbackRate;
    },
    set time(seconds) { audio.currentTime = seconds; told = seconds; toldAt = performance.now(); },
    get isPlaying() { return !audio.paused && !audio.ended; },
    get rate() { return audio.playbackRate; },
    set rate(value) { audio.playbackRate = audio.defaultPlaybackRate = value; },
    set isMuted(value) { if (audio.muted !== value) audio.muted = value; },
    play: () => audio.play(),
    pause: () => audio.pause(),
    onChange: null, onTick: null,
  };
  for (const event of ["play", "pause", "ended", "seeked"]) audio.addEventListener(event, () => player.onChange());
  audio.addEventListener("timeupdate", () => player.onTick());
  return player;
}

function silentPlayer() {
  let base = 0, since = null, rate = 1;
  const time = () => Math.min(music.seconds, since === null ? base : base + (performance.now() - since) / 1000 * rate);
  const player = {
    hasSound: false,
    get time() { return time(); },
    set time(seconds) { base = seconds; if (since !== null) since = performance.now(); },
    get isPlaying() { return since !== null && time() < music.seconds; },
    get rate() { return rate; },
    set rate(value) { base = time(); if (since !== null) since = performance.now(); rate = value; },
    set isMuted(value) {},
    async play() { base = time() >= music.seconds ? 0 : time(); since = performance.now(); player.onChange(); },
    pause() { base = time(); since = null; player.onChange(); },
    onChange: null, onTick: null,
  };
  return player;
}

const soundText = $("sound").textContent.trim();
const player = soundText ? soundPlayer(soundText, $("sound").dataset.type) : silentPlayer();
const hasSeam = document.body.dataset.part !== "all";
const state = { loop: null, isLooping: false, isPrimerMuted: false, wasNew: null, wasPlaying: false };
const now = () => Math.min(music.seconds, Math.max(0, player.time));
const isNewAt = (moment) => music.new.some(([begin, end]) => moment >= begin - 0.02 && moment < end + 0.02);
// The stretch of new music that is played or comes next, and after the last the first.
const stretchAt = (moment) => music.new.find(([, end]) => moment < end) || music.new[0];
const stretchAfter = (moment) => music.new.find(([begin]) => moment < begin - 0.02) || music.new[0];
const toNew = () => seek((music.new.length > 1 ? stretchAfter(now()) : music.new[0])[0]);
const capital = (word) => word[0].toUpperCase() + word.slice(1);

function say(text) { $("live").textContent = text; }

function seek(seconds) {
  player.time = Math.min(music.seconds, Math.max(0, seconds));
  state.wasNew = null;
  applyMute();
  refresh();
}
async function toggle() {
  if (player.isPlaying) { player.pause(); return; }
  if (now() >= music.seconds - 0.05) seek(state.isLooping ? state.loop[0] : 0);
  try { await player.play(); } catch (error) { say("The browser does not play this sound."); showNote("This browser does not play the sound that is embedded here."); }
}
function showNote(text) { $("sound-note").textContent = text; $("sound-note").hidden = false; }

function applyMute() { player.isMuted = state.isPrimerMuted && !isNewAt(player.time); }
function muteprimer() {
  state.isPrimerMuted = !state.isPrimerMuted;
  $("mute-primer").setAttribute("aria-pressed", state.isPrimerMuted);
  applyMute();
  say(`${capital(music.words.rest)} ${state.isPrimerMuted ? "muted" : "heard"}`);
  refresh();
}
function setLoop(from, to, isOn) {
  state.loop = [Math.min(from, to), Math.max(from, to)];
  if (state.loop[1] - state.loop[0] < 0.5) state.loop[1] = Math.min(music.seconds, state.loop[0] + 0.5);
  state.isLooping = isOn;
  $("loop").setAttribute("aria-pressed", isOn);
  say(isOn ? `Loop from ${clock(state.loop[0])} to ${clock(state.loop[1])}` : "Loop off");
  refresh();
}
const wholeLoop = () => (hasSeam ? [...stretchAt(now())] : [0, music.seconds]);
function toggleLoop() { setLoop(...(state.loop || wholeLoop()), !state.isLooping); }
function loopEdge(which) {
  const edges = state.loop ? [...state.loop] : [0, music.seconds];
  edges[which] = now();
  if (edges[0] >= edges[1]) edges[1 - which] = which ? 0 : music.seconds;
  setLoop(...edges, true);
}
function setTempo(percent) {
  const value = Math.min(150, Math.max(50, Math.round(percent / 5) * 5));
  $("tempo").value = value;
  $("tempo").setAttribute("aria-valuetext", `${value} per cent`);
  $("tempo-value").textContent = `${value}%`;
  player.rate = value / 100;
}
function zoom(factor) {
  const least = Math.max(2, (view.width - view.keys) / (music.seconds * 1.02));
  view.perSecond = Math.min(900, Math.max(Math.min(least, 40), view.perSecond * factor));
  refresh();
}
function turnTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const shown = root.dataset.theme === "auto" ? system : root.dataset.theme;
  root.dataset.theme = shown === "dark" ? "light" : "dark";
  $("theme").setAttribute("aria-label", `Colours: ${root.dataset.theme}`);
  readColours();
  refresh();
}

function tick() {
  const moment = player.time;
  if (player.isPlaying && state.isLooping && state.loop && moment >= state.loop[1] - 0.01) seek(state.loop[0]);
  applyMute();
  const isNew = isNewAt(now());
  if (player.isPlaying && hasSeam && state.wasNew === false && isNew) say("New music");
  state.wasNew = isNew;
}
function refresh() {
  const moment = now();
  draw(moment, { isPlaying: player.isPlaying || moment > 0, isMuted: state.isPrimerMuted, loop: state.isLooping && state.loop });
  const percent = (seconds) => `${100 * seconds / music.seconds}%`;
  $("head").style.left = percent(moment);
  $("frame").style.left = percent(view.left);
  $("frame").style.width = percent(Math.min(span(), music.seconds - view.left));
  $("loop-region").hidden = !state.isLooping;
  if (state.loop) { $("loop-region").style.left = percent(state.loop[0]); $("loop-region").style.width = percent(state.loop[1] - state.loop[0]); }
  const text = clock(moment);
  if ($("now").textContent !== text) {
    $("now").textContent = text;
    $("overview").setAttribute("aria-valuenow", Math.round(moment));
    $("overview").setAttribute("aria-valuetext", `${text} of ${clock(music.seconds)}${hasSeam ? (isNewAt(moment) ? `, ${music.words.new}` : `, ${music.words.old}`) : ""}`);
  }
}
function loop() { tick(); refresh(); if (player.isPlaying) requestAnimationFrame(loop); else changed(); }
function changed() {
  const isPlaying = player.isPlaying;
  document.body.classList.toggle("playing", isPlaying);
  $("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  if (isPlaying !== state.wasPlaying) {
    say(isPlaying ? `Playing from ${clock(now())}` : `Paused at ${clock(now())}`);
    state.wasPlaying = isPlaying;
    if (isPlaying) requestAnimationFrame(loop);
  }
  refresh();
}
player.onChange = changed;
player.onTick = () => { if (player.isPlaying) tick(); };

const actions = {
  " ": toggle, k: toggle, Home: () => seek(0), End: () => seek(music.seconds), l: toggleLoop,
  "[": () => loopEdge(0), "]": () => loopEdge(1), "<": () => setTempo(+$("tempo").value - 5),
  ">": () => setTempo(+$("tempo").value + 5), "+": () => zoom(1.35), "=": () => zoom(1.35), "-": () => zoom(1 / 1.35),
  d: turnTheme, ...(hasSeam ? { n: toNew, m: muteprimer } : {}),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inRange = event.target.matches("input");
  const onButton = event.target.closest("button, summary, a");
  if (onButton && (event.key === " " || event.key === "Enter")) return;
  if (inRange && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const step = event.shiftKey ? 1 : 5;
  let action = actions[event.key] || actions[event.key.toLowerCase()];
  const onSlider = event.target === $("overview");
  if (event.key === "ArrowRight" || (onSlider && event.key === "ArrowUp")) action = () => seek(now() + step);
  if (event.key === "ArrowLeft" || (onSlider && event.key === "ArrowDown")) action = () => seek(now() - step);
  if (onSlider && event.key === "PageUp") action = () => seek(now() + 30);
  if (onSlider && event.key === "PageDown") action = () => seek(now() - 30);
  if (!action) return;
  event.preventDefault();
  action();
});
for (const [id, action] of Object.entries({
  play: toggle, start: () => seek(0), back: () => seek(now() - 5), forward: () => seek(now() + 5),
  "to-new": toNew, loop: toggleLoop, "loop-from": () => loopEdge(0), "loop-to": () => loopEdge(1),
  "mute-primer": muteprimer, "zoom-in": () => zoom(1.35), "zoom-out": () => zoom(1 / 1.35), theme: turnTheme,
})) $(id).addEventListener("click", action);
$("tempo").addEventListener("input", (event) => setTempo(+event.target.value));

function dragging(element, move) {
  let from = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    element.setPointerCapture(event.pointerId);
    from = { x: event.clientX, time: now() };
    move(event, from, false);
  });
  element.addEventListener("pointermove", (event) => { if (from) move(event, from, true); });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => { from = null; });
}
dragging($("overview"), (event) => {
  const box = $("overview").getBoundingClientRect();
  seek((event.clientX - box.left) / box.width * music.seconds);
});
dragging(canvas, (event, from, hasMoved) => {
  if (hasMoved) seek(from.time - (event.clientX - from.x) / view.perSecond);
});
canvas.addEventListener("wheel", (event) => {
  if (event.ctrlKey) zoom(Math.exp(-event.deltaY / 200));
  else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) seek(now() + event.deltaX / view.perSecond);
  else return;
  event.preventDefault();
}, { passive: false });

if (hasSeam) for (const [begin, end] of music.new) {
  const seam = $("seam").cloneNode();
  seam.removeAttribute("id");
  seam.hidden = false;
  seam.style.left = `${100 * begin / music.seconds}%`;
  seam.style.width = `${100 * (end - begin) / music.seconds}%`;
  if (begin < 0.01) seam.style.borderLeft = "none";
  if (end > music.seconds - 0.01) seam.style.borderRight = "none";
  $("seam").after(seam);
}
if (!player.hasSound) showNote("No sound is embedded: the roll plays silently.");
new ResizeObserver(() => { measure(); refresh(); }).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); refresh(); });
readColours();
measure();
view.perSecond = Math.max(view.width < 560 ? 64 : 96, (view.width - view.keys) / (music.seconds * 1.02));
refresh();
// For tests and for tinkering.
window.pianoRoll = { notes, view, player, seek, toggle, zoom, get boxes() { return view.boxes; } };
