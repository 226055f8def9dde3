// What part of a plane a canvas shows: zoomed and moved by wheel, pointers or keys.

const CLICK_PX = 4;
const MOST = 200;
const STEP_PX = 12;

export class View {
  #pointers = new Map();
  #moved = 0;
  #fit = 1;

  // `changed` draws anew; `hovered` and `chosen` get a place of the plane, [x, y].
  constructor(canvas, points, { changed, hovered, chosen }) {
    this.canvas = canvas;
    this.points = points;
    this.on = { changed, hovered, chosen };
    this.cursor = null; // pixels; where keys have moved to
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.whole();
  }

  get scale() {
    return this.#fit * this.zoom;
  }

  // Show all points.
  whole() {
    const { width, height } = this.size();
    const bounds = [0, 1].map((axis) => {
      const values = this.points.map((point) => point[axis]);
      return [Math.min(...values), Math.max(...values)];
    });
    this.centre = bounds.map(([low, high]) => (low + high) / 2);
    const spans = bounds.map(([low, high]) => Math.max(high - low, 1e-6) * 1.08);
    this.#fit = Math.min(width / spans[0], height / spans[1]);
    this.zoom = 1;
    this.on.changed();
  }

  size() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return { width, height };
  }

  toPixels([x, y]) {
    const { width, height } = this.size();
    return [width / 2 + (x - this.centre[0]) * this.scale, height / 2 - (y - this.centre[1]) * this.scale];
  }

  toPlane([left, top]) {
    const { width, height } = this.size();
    return [this.centre[0] + (left - width / 2) / this.scale, this.centre[1] - (top - height / 2) / this.scale];
  }

  // Zoom by a factor, with the place under `at` (pixels) staying where it is.
  zoomBy(factor, at = [this.size().width / 2, this.size().height / 2]) {
    const before = this.toPlane(at);
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.5), MOST);
    const after = this.toPlane(at);
    this.centre = this.centre.map((value, axis) => value + before[axis] - after[axis]);
    this.on.changed();
  }

  #pan(right, down) {
    this.centre = [this.centre[0] - right / this.scale, this.centre[1] + down / this.scale];
    this.on.changed();
  }

  #wheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.#moved = 0;
  }

  #move(event) {
    const now = [event.offsetX, event.offsetY];
    const before = this.#pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.on.hovered(this.toPlane(now));
      return;
    }
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    this.#moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (other) {
      const apart = (from) => Math.max(Math.hypot(from[0] - other[0], from[1] - other[1]), 1);
      this.zoomBy(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (this.#moved > CLICK_PX) this.#pan(now[0] - before[0], now[1] - before[1]);
  }

  #up(event) {
    const alone = this.#pointers.size === 1;
    this.#pointers.delete(event.pointerId);
    if (alone && this.#moved <= CLICK_PX) this.on.chosen(this.toPlane([event.offsetX, event.offsetY]));
  }

  #key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { width, height } = this.size();
    this.cursor ??= [width / 2, height / 2];
    if (event.key in ways) {
      const limits = [width, height];
      this.cursor = this.cursor.map((value, axis) =>
        Math.min(Math.max(value + STEP_PX * ways[event.key][axis], 0), limits[axis]));
      this.on.hovered(this.toPlane(this.cursor));
      this.on.changed();
    } else if (event.key === "Enter" || event.key === " ") this.on.chosen(this.toPlane(this.cursor));
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.4, this.cursor);
    else if (event.key === "-") this.zoomBy(1 / 1.4, this.cursor);
    else if (event.key === "0") this.whole();
    else return;
    event.preventDefault();
  }
}
