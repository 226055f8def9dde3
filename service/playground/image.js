// Images in the browser: files to base64, and to the grey or coloured pixels a model sees.

export async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

export async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// The image as the service fits it: inside the model's size, centred on black, grey where the model is.
export function pixels(image, { width, height, channels }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, width, height);
  const scale = Math.min(width / image.width, height / image.height);
  const [w, h] = [image.width * scale, image.height * scale];
  context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
  const { data } = context.getImageData(0, 0, width, height);
  const values = new Float32Array(width * height * channels);
  for (let at = 0; at < width * height; at += 1) {
    const [r, g, b] = data.subarray(4 * at, 4 * at + 3);
    if (channels === 1) values[at] = (0.299 * r + 0.587 * g + 0.114 * b) / 255;
    else values.set([r / 255, g / 255, b / 255], 3 * at);
  }
  return values;
}

export function squaredError(a, b) {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] - b[at]) ** 2;
  return sum / a.length;
}

// The size of the gradient by Sobel's kernels, as an image: what the domain of edges is made of.
export async function edges(blob) {
  const image = await load(URL.createObjectURL(blob));
  const [width, height] = [image.width, image.height];
  const grey = pixels(image, { width, height, channels: 1 });
  const at = (x, y) => grey[Math.min(Math.max(y, 0), height - 1) * width + Math.min(Math.max(x, 0), width - 1)];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const out = context.createImageData(width, height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const across = [-1, 0, 1].reduce((sum, d) => sum + (2 - Math.abs(d)) * (at(x + 1, y + d) - at(x - 1, y + d)), 0);
      const down = [-1, 0, 1].reduce((sum, d) => sum + (2 - Math.abs(d)) * (at(x + d, y + 1) - at(x + d, y - 1)), 0);
      const level = (255 * Math.hypot(across, down)) / 4;
      out.data.set([level, level, level, 255], 4 * (y * width + x));
    }
  }
  context.putImageData(out, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

const SAMPLE = 28;

// The test images that come with the page, one blob each: the first two of every class, none chosen.
export async function samples() {
  const strip = await load("playground/samples.png");
  const blobs = [];
  for (let left = 0; left < strip.width; left += SAMPLE) {
    const canvas = new OffscreenCanvas(SAMPLE, SAMPLE);
    canvas.getContext("2d").drawImage(strip, -left, 0);
    blobs.push(await canvas.convertToBlob({ type: "image/png" }));
  }
  return blobs;
}
