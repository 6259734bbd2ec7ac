import type { Scores } from '../operators/score.js';
import type { SetSummary } from '../operators/scoring/score-summary.js';
import { inLine } from '../printable.js';
import { threeDecimals } from './metric-names.js';

/** Columns of the paper's tables of one object an image. */
const PAPER = [
  ['$S_\\alpha\\uparrow$', 'structure'],
  ['$F_\\beta^w\\uparrow$', 'weightedF'],
  ['$E_\\phi\\uparrow$', 'eMeasure/mean'],
  ['$M\\downarrow$', 'mae'],
] as const;

/** Columns of the table that Seg-R1's released evaluation writes, in its order and by its names. */
const RELEASED = [
  ['Smeasure', 'structure'],
  ['wFmeasure', 'weightedF'],
  ['meanFm', 'fMeasure/mean'],
  ['meanEm', 'eMeasure/mean'],
  ['maxEm', 'eMeasure/max'],
  ['MAE', 'mae'],
  ['maxFm', 'fMeasure/max'],
  ['adpEm', 'eMeasure/adaptive'],
  ['adpFm', 'fMeasure/adaptive'],
  ['HCE', 'correctionEffort'],
  ['mBA', 'boundaryAccuracy'],
  ['maxBIoU', 'boundaryIou/max'],
  ['meanBIoU', 'boundaryIou/mean'],
] as const;

/** Tables for a paper: shares with three decimals, those of expressions in percent with one, as Seg-R1 prints them. */
export function latex(name: string, { sets, protocol }: Scores): string {
  const foreground = sets.filter(({ kind }) => kind === 'foreground');
  const referring = sets.filter(({ kind }) => kind === 'referring');
  const convention = protocol === 'legacy' ? 'seg_r1' : 'lisa';
  const asked = [
    ['gIoU', `${convention}/iou`],
    ['cIoU', `${convention}/cIoU`],
    ['P@0.5', `${convention}/Pr@0.5`],
  ] as const;
  return [
    ...(foreground.length > 0
      ? [
          tabular(
            'Columns as in the paper, which does not say which F and E it prints: here weighted F and mean E.',
            name,
            foreground,
            PAPER,
            ofShares,
          ),
          tabular('Columns as in the released evaluation.', name, foreground, RELEASED, ofShares),
        ]
      : []),
    ...(referring.length > 0 ? [tabular(`Percent, convention ${convention}.`, name, referring, asked, ofPercent)] : []),
  ].join('\n');
}

type Columns = readonly (readonly [head: string, metric: string])[];

function tabular(
  comment: string,
  name: string,
  sets: readonly SetSummary[],
  columns: Columns,
  written: (metric: string, value: number | undefined) => string,
): string {
  const line = (cells: readonly string[]): string => `${cells.join(' & ')} \\\\`;
  return [
    `% ${comment}`,
    `\\begin{tabular}{ll${'c'.repeat(columns.length)}}`,
    line(['Dataset', 'Method', ...columns.map(([head]) => head)]),
    '\\hline',
    ...sets.map(({ set, metrics }) =>
      line([plainText(set), plainText(name), ...columns.map(([, metric]) => written(metric, metrics[metric]?.value))]),
    ),
    '\\end{tabular}',
    '',
  ].join('\n');
}

function ofShares(metric: string, value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '--';
  return metric === 'correctionEffort' ? value.toFixed(0) : threeDecimals(value);
}

function ofPercent(_: string, value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '--' : (value * 100).toFixed(1);
}

/** Escaped text without commands. */
function plainText(text: string): string {
  const named: Readonly<Record<string, string>> = {
    '\\': '\\textbackslash{}',
    '~': '\\textasciitilde{}',
    '^': '\\textasciicircum{}',
  };
  return inLine(text).replaceAll(/[\\~^&%$#_{}]/g, (sign) => named[sign] ?? `\\${sign}`);
}
