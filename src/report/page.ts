import type { Scores } from '../operators/score.js';
import type { SetSummary } from '../operators/scoring/score-summary.js';
import { html, type Html } from './html.js';
import { metricName, shownValue } from './metric-names.js';
import { BESIDE, paperTable } from './paper-table.js';
import { headline, scoreTable, setLine } from './score-table.js';
import { setsTables } from './sets-table.js';
import { STYLE } from './style.js';
import type { Table } from './table.js';

/** A picture of the gallery, beside the page. */
export interface Picture {
  /** Relative to the page. */
  readonly file: string;
  readonly id: string;
  readonly worth: number;
  readonly width: number;
  readonly height: number;
}

/** Contents of a run's page. */
export interface PageContent {
  readonly name: string;
  readonly scores: Scores;
  readonly gallery: readonly Picture[];
  /** Other tables, under their headings. */
  readonly tables: Readonly<Record<string, Table>>;
}

/** A page that needs only the pictures beside it: no script, no network requests. */
export function page({ name, scores, gallery, tables }: PageContent): string {
  const { html: text } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${name}: scores</title>
        <style>
          ${{ html: STYLE }}
        </style>
      </head>
      <body>
        <header>
          <p class="kind">segr1 evaluation</p>
          <h1>${name}</h1>
          ${protocolNote(scores)}
        </header>
        <main>
          ${setsTables(scores.sets, scores.protocol).map(
            (table) =>
              html`<section>
                <h2>All sets</h2>
                ${tableOf(table)}
              </section>`,
          )}
          ${scores.sets.map((set) => setSection(name, set, scores.protocol))} ${galleryOf(gallery)}
          ${Object.entries(tables).map(
            ([heading, table]) =>
              html`<section>
                <h2>${heading}</h2>
                ${tableOf(table)}
              </section>`,
          )}
        </main>
      </body>
    </html> `;
  return text;
}

function protocolNote({ protocol, defects, unscored }: Scores): Html {
  const left = unscored === 0 ? '' : ` ${unscored} marked rows are in no number.`;
  if (protocol === 'standard')
    return html`<p>
      Every item is scored once, by its own answer; one that is missing or can’t be read counts as an empty mask.${left}
    </p>`;
  return html`<div class="warning" role="note">
    <p>Protocol <strong>legacy</strong>: these numbers carry what Seg-R1’s published ones do.${left}</p>
    <ul>
      ${defects.map((defect) => html`<li>${defect}</li>`)}
    </ul>
  </div>`;
}

function setSection(name: string, set: SetSummary, protocol: Scores['protocol']): Html {
  const names = headline(set, protocol);
  const paper = paperTable(set.set, [{ name, protocol, metrics: set.metrics }]);
  return html`<section>
    <h2>${set.set}</h2>
    <p>${setLine(set, protocol)}.</p>
    <ul class="tiles">
      ${names.map((metric) => tile(metric, set.metrics[metric]))}
    </ul>
    <details>
      <summary>All ${Object.keys(set.metrics).length} metrics</summary>
      ${tableOf(scoreTable(set, Object.keys(set.metrics)))}
    </details>
    ${
      paper
        ? html`<details open>
            <summary>Beside the paper</summary>
            <p>${BESIDE}</p>
            ${tableOf(paper)}
          </details>`
        : ''
    }
  </section> `;
}

/** One number, and its interval as a line of the scale from 0 to 1. */
function tile(metric: string, { value, low, high }: SetSummary['metrics'][string]): Html {
  const { label, variant, better, share } = metricName(metric);
  const at = (part: number): string => (Math.min(1, Math.max(0, part)) * 100).toFixed(2);
  const scale = share
    ? html`<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <line class="scale" x1="0" x2="100" y1="4" y2="4" />
        <rect
          class="interval"
          x="${at(low)}"
          width="${Math.max(0.8, (high - low) * 100).toFixed(2)}"
          y="1"
          height="6"
        />
      </svg>`
    : html`<svg viewBox="0 0 100 8" aria-hidden="true"></svg>`;
  return html`<li>
    <span class="label">${label}${better ? (better === 'more' ? '\u00a0↑' : '\u00a0↓') : ''}</span
    ><strong>${shownValue(metric, value)}</strong>${scale}<span class="detail"
      >95 %: ${shownValue(metric, low)} to ${shownValue(metric, high)}</span
    ><span class="detail">${variant}</span>
  </li>`;
}

function galleryOf(pictures: readonly Picture[]): Html {
  if (pictures.length === 0) return html``;
  const kinds = [...new Set(pictures.map(({ file }) => kindOf(file)))];
  return html`<section>
    <h2>Gallery</h2>
    <p>
      Each: the image; the answer over it, its mask blue, box orange, points green (object) and red; the truth outlined
      in yellow.
    </p>
    ${kinds.map(
      (kind) =>
        html`<h3>${kind}</h3>
          <div class="gallery">${pictures.filter(({ file }) => kindOf(file) === kind).map(figure)}</div>`,
    )}
  </section>`;
}

/** `gallery/best-1.png` is one of the best. */
function kindOf(file: string): string {
  return file.replace(/^.*\//, '').replace(/-\d+\.png$/, '');
}

function figure({ file, id, worth, width, height }: Picture): Html {
  const source = file.split('/').map(encodeURIComponent).join('/');
  return html`<figure>
    <img
      src="${source}"
      width="${width}"
      height="${height}"
      loading="lazy"
      alt="${id}, ${kindOf(file)}: image, answer and truth side by side; score ${worth.toFixed(3)}"
    />
    <figcaption>${id} <strong>${worth.toFixed(3)}</strong></figcaption>
  </figure>`;
}

function tableOf([head = [], ...rows]: Table): Html {
  const cells = ([first = '', ...others]: readonly string[]): Html =>
    html`<tr>
      <th scope="row">${first}</th>
      ${others.map((cell) => html`<td>${cell}</td>`)}
    </tr>`;
  return html`<div class="wide" tabindex="0" role="region" aria-label="table">
    <table>
      <thead>
        <tr>
          ${head.map((cell) => html`<th scope="col">${cell}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(cells)}
      </tbody>
    </table>
  </div>`;
}
