/**
 * Whether a browser's picture of a page shows something: `node scripts/check-page.mjs PICTURE.png`.
 *
 * A page that is blank, or whose pictures are missing, has few colours.
 */
import sharp from 'sharp';

const [file] = process.argv.slice(2);
const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
const colours = new Set();
for (let i = 0; i < data.length; i += 3) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
console.log(`${info.width}x${info.height}, ${colours.size} colours`);
if (info.height < 600 || colours.size < 2000) {
  console.error(
    `${file}  page: expected at least 600 px of height and 2000 colours, as text and a gallery have; got ${info.height} and ${colours.size}`,
  );
  process.exitCode = 1;
}
