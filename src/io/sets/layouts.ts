/** Folders of images and of masks, each the first that is there; masks may lie in several. */
export interface Split {
  readonly images: readonly string[];
  readonly masks: readonly string[];
  /** Whether others pass it on as `SHARED` has it. */
  readonly shared?: boolean;
}

export interface Layout {
  /** Possible names of the set's folder. */
  readonly folders: readonly string[];
  readonly splits: Readonly<Record<string, Split>>;
  /** Images to leave out, by a part of their name. */
  readonly without?: string;
  /** Beginning of its images' names in `MIXED_TRAIN`. */
  readonly begins?: string;
}

/** The usual names of folders, in upper or lower case, as SINet and others pass sets on: `TestDataset/CAMO/Imgs` and `TestDataset/CAMO/GT`. */
export const SHARED: Split = {
  images: ['Imgs', 'Image', 'Images', 'Img', 'im', 'Input'],
  masks: ['GT', 'Mask', 'Masks', 'ground_truth_mask', 'GroundTruth'],
};
/** The folder in which the training images of COD10K and CAMO lie together. */
export const MIXED_TRAIN = 'TrainDataset';

const one = (images: string, masks: string): Split => ({ images: [images], masks: [masks], shared: true });
const small: Split = { ...SHARED, shared: true };
const omron: Split = {
  images: ['DUT-OMRON-image', 'DUT-OMRON-image/DUT-OMRON-image', ...small.images],
  masks: ['pixelwiseGT-new-PNG', 'pixelwiseGT-new-PNG/pixelwiseGT-new-PNG', ...small.masks],
  shared: true,
};
/** Beside four other sets, as its authors published them. */
const pascal: Split = {
  images: ['datasets/imgs/pascal', 'imgs/pascal', ...small.images],
  masks: ['datasets/masks/pascal', 'masks/pascal', ...small.masks],
  shared: true,
};
const camo = (part: string): Split => ({ images: [`Images/${part}`], masks: [`GT/${part}`, 'GT'], shared: true });

/** Folders of the published sets' pictures after unpacking. */
export const layouts = {
  cod10k: {
    folders: ['COD10K-v3', 'COD10K', 'COD10K-v2'],
    splits: { train: one('Train/Image', 'Train/GT_Object'), test: one('Test/Image', 'Test/GT_Object') },
    without: 'NonCAM',
    begins: 'COD10K-',
  },
  camo: {
    folders: ['CAMO-V.1.0-CVIU2019', 'CAMO', 'CAMO_TestingDataset'],
    splits: { train: camo('Train'), test: camo('Test') },
    begins: 'camourflage_',
  },
  nc4k: { folders: ['NC4K', 'NC4K_TestingDataset'], splits: { test: small } },
  chameleon: { folders: ['CHAMELEON', 'CHAMELEON_TestingDataset'], splits: { test: small } },
  dis5k: {
    folders: ['DIS5K'],
    splits: Object.fromEntries(
      ['TR', 'VD', 'TE1', 'TE2', 'TE3', 'TE4'].map((part) => [
        part.toLowerCase(),
        { images: [`DIS-${part}/im`], masks: [`DIS-${part}/gt`] },
      ]),
    ),
  },
  duts: {
    folders: ['DUTS'],
    splits: {
      train: { images: ['DUTS-TR/DUTS-TR-Image'], masks: ['DUTS-TR/DUTS-TR-Mask'] },
      test: {
        images: ['DUTS-TE/DUTS-TE-Image', 'DUTS-TE-Image', ...small.images],
        masks: ['DUTS-TE/DUTS-TE-Mask', 'DUTS-TE-Mask', ...small.masks],
      },
    },
  },
  'dut-omron': { folders: ['DUT-OMRON', 'DUTOMRON', 'DUT-O'], splits: { test: omron } },
  'hku-is': { folders: ['HKU-IS', 'HKUIS'], splits: { test: small } },
  ecssd: { folders: ['ECSSD'], splits: { test: small } },
  'pascal-s': { folders: ['PASCAL-S', 'PASCALS', 'salObj'], splits: { test: pascal } },
} as const satisfies Record<string, Layout>;
export type ForegroundSet = keyof typeof layouts;
