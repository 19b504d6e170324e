// A photo on its way to the model, and what the model looked at on its way back.
import { Trouble } from "./ask.js";

const LONG_SIDE = 256;  // as at ingestion: a query is seen as the catalogue's photos were

// Any photo that the browser can read, upright on white, as PNG: the model reads JPEG and PNG alone, and PNG loses nothing.
export async function prepared(file) {
  let image;
  try {
    image = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Trouble(`${file.name ? `“${file.name}”` : "This"} is not a photo that can be read. Choose a whole JPEG, PNG or WebP file.`);
  }
  const scale = Math.min(1, LONG_SIDE / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/png" });
}

export async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  return btoa(text);
}

// Dims what was looked at less; the rows of `attention` lie over the whole photo, which the model sees squashed to a square.
export function shine(canvas, attention) {
  const [height, width] = [attention.length, attention[0].length];
  const most = Math.max(...attention.flat()) || 1;
  const small = new OffscreenCanvas(width, height), pen = small.getContext("2d"), shade = pen.createImageData(width, height);
  attention.flat().forEach((value, place) => { shade.data[4 * place + 3] = 165 * (1 - value / most) });
  pen.putImageData(shade, 0, 0);
  canvas.width = canvas.height = 224;
  const large = canvas.getContext("2d");
  large.imageSmoothingQuality = "high";
  large.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// The same in words: where the middle of the attention lies, or that it lies everywhere.
export function looked(attention) {
  const flat = attention.flat(), sum = flat.reduce((a, b) => a + b, 0) || 1;
  if (Math.max(...flat) < 2 * sum / flat.length) return "at all of the photo alike";
  let down = 0, across = 0;
  attention.forEach((row, y) => row.forEach((value, x) => {
    down += value * (y + 0.5) / attention.length / sum;
    across += value * (x + 0.5) / row.length / sum;
  }));
  const third = (place, names) => names[Math.min(2, Math.floor(3 * place))];
  const words = [third(down, ["top", "", "bottom"]), third(across, ["left", "", "right"])].filter(Boolean).join(" ");
  return `mostly at the ${words || "middle"}`;
}
