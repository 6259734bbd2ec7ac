import { conventions, type Convention } from '../metrics/referring.js';

/** Display name of a metric of a set. */
export interface MetricName {
  readonly label: string;
  /** Its variant. */
  readonly variant: string;
  /** Whether more is better, or less; undefined for neither. */
  readonly better?: 'more' | 'less';
  /** Whether it is in [0, 1], and so is printed without its 0. */
  readonly share: boolean;
}

const THRESHOLDS = {
  binary: 'over one half, mean over images',
  adaptive: 'over twice the mean level, mean over images',
  mean: 'mean of the set’s curve over 256 thresholds',
  max: 'highest point of the set’s curve over 256 thresholds',
} as const;

const CURVES: Readonly<Record<string, Pick<MetricName, 'label' | 'better'> & { readonly of?: string }>> = {
  fMeasure: { label: 'F-measure', better: 'more', of: 'β² = 0.3, ' },
  eMeasure: { label: 'E-measure', better: 'more' },
  iou: { label: 'IoU', better: 'more' },
  dice: { label: 'Dice', better: 'more' },
  ber: { label: 'balanced error rate', better: 'less' },
  precision: { label: 'precision', better: 'more' },
  recall: { label: 'recall', better: 'more' },
  boundaryIou: { label: 'boundary IoU', better: 'more' },
};

const CONVENTIONS: Readonly<Record<Convention, string>> = {
  lisa: 'ignored pixels left out, both empty earns 1 (LISA)',
  seg_r1: 'ignored pixels are background, both empty earns 0 (Seg-R1)',
  seg_r1_ignore: 'ignored pixels left out, both empty earns 0',
  gref_any_pixel: 'no pixel is a refusal (gRefCOCO)',
  gref_50_pixels: 'under 50 pixels is a refusal (gRefCOCO)',
};

const share = (label: string, variant: string, better: 'more' | 'less' = 'more'): MetricName => ({
  label,
  variant,
  better,
  share: true,
});

const SINGLE: Readonly<Record<string, MetricName>> = {
  structure: share('S-measure', 'α = 0.5, mean over images'),
  weightedF: share('weighted F', 'β = 1, mean over images'),
  mae: share('MAE', 'of grey levels, mean over images', 'less'),
  mse: share('MSE', 'of grey levels, mean over images', 'less'),
  boundaryAccuracy: share('mBA', 'five radii, levels over 128; images with a boundary'),
  correctionEffort: { label: 'HCE', variant: 'points and strokes an image, relax 5', better: 'less', share: false },
  'half/cIoU': share('cIoU', 'over one half, sums over the set'),
  dice: share('Dice', 'nothing left out, both empty earns 0'),
  'answer/unparsed': share('unparsed answers', 'share; each counts as an empty mask', 'less'),
  'answer/repaired': { label: 'answers read leniently', variant: 'share', share: true },
  'answer/missing': share('missing predictions', 'share; each counts as an empty mask', 'less'),
  'answer/empty': { label: 'empty masks', variant: 'share', share: true },
  'completions/mean_length': { label: 'tokens', variant: 'an answer', share: false },
};

/** The name of a metric; unknown ones keep their key. */
export function metricName(name: string): MetricName {
  const known = SINGLE[name];
  if (known) return known;
  const [first = '', rest = ''] = name.split('/');
  if (first in conventions) return share(rest === 'iou' ? 'gIoU' : rest, CONVENTIONS[first as Convention]);
  const curve = CURVES[first];
  if (!curve || !(rest in THRESHOLDS)) return { label: name, variant: '', share: false };
  const { of = '', ...called } = curve;
  return { ...called, variant: `${of}${THRESHOLDS[rest as keyof typeof THRESHOLDS]}`, share: true };
}

/** A value as tables print it: `.873`, `1.000`, `12.4`; `-` for what is no number. */
export function shownValue(name: string, value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '-';
  return metricName(name).share ? threeDecimals(value) : value.toFixed(1);
}

/** As the paper prints shares: three decimals, and no 0 before the point. */
export function threeDecimals(value: number): string {
  return value.toFixed(3).replace(/^(-?)0\./, '$1.');
}
