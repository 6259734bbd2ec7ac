/**
 * RGB of CMYK pixels by Pillow's convert("RGB"): 255 − K less its share of each ink; print profiles are not applied.
 *
 * @param data [pixels × channels], 255 is full ink; channels behind the fourth are left out.
 */
export function rgbOfCmyk(data: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let i = 0, o = 0; i < data.length; i += channels, o += 3) {
    const light = 255 - data[i + 3];
    for (let c = 0; c < 3; c++) rgb[o + c] = light - share(data[i + c], light);
  }
  return rgb;
}

/** a · b / 255, rounded. */
function share(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}
