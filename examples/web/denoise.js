// The denoiser in the browser: an ONNX model that `danet export` wrote, computed by onnxruntime-web.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;
ort.env.wasm.proxy = true; // in a worker, so that the page stays awake
ort.env.logLevel = "error";

// Of the weights photo-fast; the metadata of the model have both numbers.  Tiles that start at
// multiples of the one, with as many pixels around them as the other, give the whole picture's result.
const SIZE_MULTIPLE = 16;
const HALO = 112;

export async function loadDenoiser(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url}: ${response.status} ${response.statusText}`);
  }
  const model = new Uint8Array(await response.arrayBuffer());
  return ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
}

// A picture without noise, of an ImageData; transparency stays.  `onTile` is told the share done.
export async function denoise(session, picture, { tile = 512, onTile = () => {} } = {}) {
  const side = Math.max(1, Math.round(tile / SIZE_MULTIPLE)) * SIZE_MULTIPLE;
  const { width, height } = picture;
  const result = new ImageData(new Uint8ClampedArray(picture.data), width, height);
  const total = Math.ceil(width / side) * Math.ceil(height / side);
  let done = 0;
  for (let top = 0; top < height; top += side) {
    for (let left = 0; left < width; left += side) {
      const bottom = Math.min(top + side, height);
      const right = Math.min(left + side, width);
      const window = {
        top: Math.max(top - HALO, 0),
        left: Math.max(left - HALO, 0),
        bottom: Math.min(bottom + HALO, height),
        right: Math.min(right + HALO, width),
      };
      const noisy = toTensor(picture, window);
      const { denoised } = await session.run({ noisy });
      fromTensor(denoised.data, window, result, { top, left, bottom, right });
      onTile(++done / total);
    }
  }
  return result;
}

// RGB in [0, 1], 1 x 3 x H x W.
function toTensor(picture, { top, left, bottom, right }) {
  const [rows, columns] = [bottom - top, right - left];
  const values = new Float32Array(3 * rows * columns);
  for (let row = 0, at = 0; row < rows; row++) {
    let from = 4 * ((top + row) * picture.width + left);
    for (let column = 0; column < columns; column++, at++, from += 4) {
      for (let colour = 0; colour < 3; colour++) {
        values[colour * rows * columns + at] = picture.data[from + colour] / 255;
      }
    }
  }
  return new ort.Tensor("float32", values, [1, 3, rows, columns]);
}

function fromTensor(values, window, result, { top, left, bottom, right }) {
  const columns = window.right - window.left;
  const plane = columns * (window.bottom - window.top);
  for (let row = top; row < bottom; row++) {
    let at = (row - window.top) * columns + left - window.left;
    let to = 4 * (row * result.width + left);
    for (let column = left; column < right; column++, at++, to += 4) {
      for (let colour = 0; colour < 3; colour++) {
        result.data[to + colour] = 255 * values[colour * plane + at]; // rounded and clamped
      }
    }
  }
}
