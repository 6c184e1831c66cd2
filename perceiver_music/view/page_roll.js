// The roll: what is drawn on the canvas at a moment of the music.
const music = JSON.parse(document.getElementById("music").textContent);
const canvas = document.getElementById("roll");
const pen = canvas.getContext("2d");
const motion = matchMedia("(prefers-reduced-motion: reduce)");

const notes = (() => {
  const list = [];
  let start = 0;
  for (let i = 0; i < music.pitch.length; i++) {
    start += music.gap[i];
    list.push({
      start: start / 1000, end: (start + music.length[i]) / 1000,
      pitch: music.pitch[i], shade: music.shade[i], isNew: music.isNew[i] === "1",
    });
  }
  return list;
})();
// Up to each note, the latest end so far: from it a search knows where to begin.
const latestEnd = [];
notes.reduce((latest, note, i) => (latestEnd[i] = Math.max(latest, note.end)), 0);

const view = { perSecond: 96, left: 0, width: 0, height: 0, keys: 46, black: 23, ruler: 26, pedal: 0, boxes: 0 };
const isBlack = (pitch) => [1, 3, 6, 8, 10].includes(pitch % 12);
// Names stand beside the black keys, which are shorter where the keyboard is narrow.
const NAME_EDGE = 4;
const octaves = [...Array(128).keys()].filter((pitch) => pitch % 12 === 0 && music.low <= pitch && pitch <= music.high);
const keyName = (pitch) => `C${pitch / 12 - 1}`;
const keyFont = () => `600 10px ${colours.sans}`;
const clock = (seconds) => {
  const whole = Math.round(seconds); // as in the other pictures
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const ramp = (name) => Array.from({ length: music.shades }, (_, i) => read(`${name}${i}`));
  colours = { primer: ramp("p"), new: ramp("n"), sans: read("sans") };
  for (const name of ["paper", "ink", "faint", "line", "octave", "black", "new-ground", "new-black",
    "pedal", "seam", "accent", "hot-primer", "hot-new", "white-key", "black-key"]) colours[name] = read(name);
}

function measure() {
  const box = canvas.getBoundingClientRect();
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  view.width = box.width;
  view.height = box.height;
  view.keys = box.width < 560 ? 38 : 46;
  pen.font = keyFont();
  const names = octaves.map((pitch) => pen.measureText(keyName(pitch)).width);
  view.black = Math.min(view.keys / 2, view.keys - NAME_EDGE - Math.max(0, ...names) - 3);
  view.pedal = music.pedal.length ? 20 : 6;
}

const span = () => (view.width - view.keys) / view.perSecond;
const xOf = (seconds) => view.keys + (seconds - view.left) * view.perSecond;
const rowHeight = () => (view.height - view.ruler - view.pedal) / (music.high - music.low + 1);
const yOf = (pitch) => view.ruler + (music.high - pitch) * rowHeight();

function scrollTo(now) {
  const seen = span();
  const last = Math.max(0, music.seconds - seen + Math.min(1, seen / 20));
  if (motion.matches) {
    // No gliding: a page is turned when the music has come to its edge.
    if (now < view.left || now > view.left + 0.92 * seen) view.left = Math.min(last, Math.max(0, now - 0.06 * seen));
  } else {
    view.left = Math.min(last, Math.max(0, now - 0.3 * seen));
  }
  view.left = Math.min(view.left, last);
}

function firstSounding(moment) {
  let low = 0, high = notes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (latestEnd[middle] < moment) low = middle + 1; else high = middle;
  }
  return low;
}

function draw(now, options) {
  scrollTo(now);
  const { width, height, keys, ruler } = view, row = rowHeight(), bottom = height - view.pedal;
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, width, height);
  drawRows(keys, width, "black");
  for (const [begin, end] of music.new) {
    const from = Math.max(keys, xOf(begin)), to = Math.min(width, xOf(end));
    if (to > from) {
      pen.fillStyle = colours["new-ground"];
      pen.fillRect(from, ruler, to - from, bottom - ruler);
      drawRows(from, to, "new-black");
    }
  }
  drawTimes(bottom);
  drawPedal(height);
  view.boxes = 0;
  const sounding = drawNotes(now, row, options);
  drawSeams(bottom);
  drawLoop(options.loop);
  const x = xOf(now);
  pen.fillStyle = colours.ink;
  pen.fillRect(x - 0.75, ruler - 4, 1.5, height);
  pen.beginPath();
  pen.moveTo(x - 6, ruler - 9);
  pen.lineTo(x + 6, ruler - 9);
  pen.lineTo(x, ruler);
  pen.fill();
  drawKeys(row, bottom, sounding);
  const boxes = String(view.boxes);
  if (canvas.dataset.boxes !== boxes) canvas.dataset.boxes = boxes;
}

function drawRows(from, to, colour) {
  const row = rowHeight();
  pen.fillStyle = colours[colour];
  for (let pitch = music.low; pitch <= music.high; pitch++)
    if (isBlack(pitch)) pen.fillRect(from, yOf(pitch), to - from, row);
  pen.fillStyle = colours.octave;
  for (let pitch = music.low; pitch <= music.high; pitch++)
    if (pitch % 12 === 0) pen.fillRect(from, Math.round(yOf(pitch) + row) - 0.5, to - from, 1);
}

// Where new music begins and ends, as flags in the ruler: [x, name, width].
function flags() {
  if (document.body.dataset.part === "all") return [];
  pen.font = `600 12px ${colours.sans}`;
  return music.seams
    .map(([moment, name]) => [xOf(moment), name, pen.measureText(name).width + 14])
    .filter(([x, , wide]) => x + wide > view.keys && x < view.width);
}

function drawTimes(bottom) {
  const taken = flags();
  const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
  const step = steps.find((each) => each * view.perSecond >= 74) || 1200;
  pen.font = `12px ${colours.sans}`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const last = Math.min(music.seconds, view.left + span());
  for (let i = Math.ceil(view.left / step - 1e-9); i * step <= last + 1e-9; i++) {
    const x = xOf(i * step);
    pen.fillStyle = colours.line;
    pen.fillRect(Math.round(x), view.ruler, 1, bottom - view.ruler);
    if (step < 1 && i % 2) continue;
    pen.fillStyle = colours.octave;
    pen.fillRect(Math.round(x), view.ruler - 8, 1, 8);
    if (taken.some(([flag, , wide]) => x + 38 > flag && x < flag + wide)) continue;
    pen.fillStyle = colours.faint;
    pen.fillText(clock(i * step), x + 5, view.ruler / 2);
  }
}

function drawNotes(now, row, options) {
  const sounding = new Map(), edge = view.left + span();
  const radius = Math.min(3, row * 0.3), gap = row > 5 ? 1 : 0.4;
  for (let i = firstSounding(view.left); i < notes.length && notes[i].start < edge; i++) {
    const note = notes[i];
    if (note.end < view.left) continue;
    const x = xOf(note.start), wide = Math.max(2, (note.end - note.start) * view.perSecond - 0.8);
    const isSounding = note.start <= now && now < note.end && options.isPlaying;
    const isMuted = options.isMuted && !note.isNew;
    pen.globalAlpha = isMuted ? 0.22 : note.end < now && options.isPlaying ? 0.62 : 1;
    pen.fillStyle = (note.isNew ? colours.new : colours.primer)[note.shade];
    if (isSounding && !isMuted) {
      const hot = colours[note.isNew ? "hot-new" : "hot-primer"];
      sounding.set(note.pitch, hot);
      pen.fillStyle = hot;
      pen.shadowColor = hot;
      pen.shadowBlur = 10;
    }
    pen.beginPath();
    if (pen.roundRect) pen.roundRect(x, yOf(note.pitch) + gap / 2, wide, row - gap, Math.min(radius, wide / 2));
    else pen.rect(x, yOf(note.pitch) + gap / 2, wide, row - gap);
    pen.fill();
    pen.shadowBlur = 0;
    view.boxes++;
  }
  pen.globalAlpha = 1;
  return sounding;
}

function drawPedal(height) {
  if (!music.pedal.length) return;
  pen.fillStyle = colours.pedal;
  for (const [from, to, depth] of music.pedal) {
    if (to < view.left || from > view.left + span()) continue;
    pen.fillRect(xOf(from), height - 3 - depth * 12, (to - from) * view.perSecond + 0.3, depth * 12);
  }
}

function drawSeams(bottom) {
  for (const [x, name, wide] of flags()) {
    pen.fillStyle = colours.seam;
    pen.fillRect(x - 1, 4, 2, bottom - 4);
    pen.fillRect(x - 1, 4, wide, 18);
    pen.fillStyle = colours.paper;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(name, x + 6, 13.5);
  }
}

function drawLoop(loop) {
  if (!loop) return;
  pen.fillStyle = colours.accent;
  pen.fillRect(xOf(loop[0]), view.ruler - 3, (loop[1] - loop[0]) * view.perSecond, 3);
}

function drawKeys(row, bottom, sounding) {
  const { keys, ruler } = view;
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, keys, ruler);
  pen.fillStyle = colours["white-key"];
  pen.fillRect(0, ruler, keys, bottom - ruler);
  for (let pitch = music.low; pitch <= music.high; pitch++) {
    if (isBlack(pitch)) continue;
    // A white key reaches half-way under its black neighbours.
    const top = yOf(pitch) - (isBlack(pitch + 1) && pitch < music.high ? row / 2 : 0);
    const low = yOf(pitch) + row + (pitch > music.low && isBlack(pitch - 1) ? row / 2 : 0);
    if (sounding.has(pitch)) {
      pen.fillStyle = sounding.get(pitch);
      pen.fillRect(0, top, keys - 1, low - top);
    }
    pen.fillStyle = colours.octave;
    pen.fillRect(0, low - 0.5, keys, 1);
  }
  for (let pitch = music.low; pitch <= music.high; pitch++) {
    if (!isBlack(pitch)) continue;
    pen.fillStyle = sounding.get(pitch) || colours["black-key"];
    pen.fillRect(0, yOf(pitch) + 0.5, view.black, row - 1);
  }
  pen.font = keyFont();
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const pitch of octaves) {
    pen.fillStyle = sounding.has(pitch) ? colours.paper : "#4d4941";
    pen.fillText(keyName(pitch), keys - NAME_EDGE, yOf(pitch) + row / 4 + 1);
  }
  pen.fillStyle = colours.octave;
  pen.fillRect(keys - 1, ruler, 1, view.height);
  if (music.pedal.length) {
    pen.fillStyle = colours.paper;
    pen.fillRect(0, bottom, keys - 1, view.height - bottom);
    pen.fillStyle = colours.faint;
    pen.font = `11px ${colours.sans}`;
    pen.fillText("Ped.", keys - 6, view.height - 8);
  }
}
