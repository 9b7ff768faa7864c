"use strict";
// A file that `bpa.load` reads, made in the page.

// tensors: { name: { shape, numbers } }, written as float32; metadata: { name: text }.
function safetensors(tensors, metadata) {
  const header = { __metadata__: metadata };
  let end = 0;
  for (const [name, { shape, numbers }] of Object.entries(tensors)) {
    if (shape.reduce((product, side) => product * side, 1) !== numbers.length) {
      throw new Error(`tensor ${name} of shape ${shape} has ${numbers.length} numbers`);
    }
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + 4 * numbers.length] };
    end += 4 * numbers.length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const room = Math.ceil(text.length / 8) * 8; // the tensors begin at a multiple of 8 bytes
  const bytes = new Uint8Array(8 + room + end).fill(0x20, 8, 8 + room);
  bytes.set(text, 8);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(room), true);
  let at = 8 + room;
  for (const { numbers } of Object.values(tensors)) {
    for (const number of numbers) {
      view.setFloat32(at, number, true);
      at += 4;
    }
  }
  return bytes;
}
