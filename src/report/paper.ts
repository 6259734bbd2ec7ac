/** Published numbers of one table: a row for each method, a text of values for each set. */
interface PaperTable {
  readonly title: string;
  /** Set and split as `load` calls them. */
  readonly sets: readonly string[];
  readonly columns: readonly ('S' | 'F' | 'E' | 'M' | 'gIoU' | 'cIoU')[];
  /** The method, then of each set its values in the order of the columns; `-` is not reported. */
  readonly rows: readonly (readonly [method: string, ...values: string[]])[];
}

/** What the paper prints of a set. */
export interface PaperSet {
  readonly title: string;
  readonly columns: PaperTable['columns'];
  readonly rows: readonly { readonly method: string; readonly values: readonly string[] }[];
}

/**
 * Results as Seg-R1's paper and project page print them. They come from a random protocol: see `defects`.
 *
 * @see Seg-R1, arXiv:2506.22624, tables 1 to 4. In table 2 the rows of A2S stand one column to the right of where they
 * belong; here they are moved.
 */
const tables: readonly PaperTable[] = [
  {
    title: 'Table 1, camouflaged objects',
    sets: ['cod10k/test', 'camo/test'],
    columns: ['S', 'F', 'E', 'M'],
    rows: [
      ['PFNet', '.800 .660 .868 .040', '.782 .695 .852 .085'],
      ['ZoomNet', '.838 .729 .911 .029', '.820 .752 .892 .066'],
      ['BSA-Net', '.818 .699 .901 .034', '.794 .717 .867 .079'],
      ['FSPNet', '.851 .735 .895 .026', '.856 .799 .899 .050'],
      ['ZoomNeXT', '.898 .827 .956 .018', '.889 .857 .945 .041'],
      ['BiRefNet', '.912 .874 .960 .014', '.904 .890 .954 .030'],
      ['FOCUS', '.910 .883 .974 .013', '.912 .904 .963 .025'],
      ['SAM-P', '.765 .694 .796 .069', '.677 .649 .693 .123'],
      ['WS-SAM', '.790 .698 .856 .039', '.718 .703 .757 .102'],
      ['GPT4V+SAM', '.601 .448 .672 .187', '.618 .613 .655 .265'],
      ['GenSAM', '.783 .695 .843 .058', '.729 .669 .798 .106'],
      ['ProMaC', '.805 .716 .876 .042', '.767 .725 .846 .090'],
      ['Grounded SAM2', '.686 .628 .722 .209', '.578 .571 .612 .302'],
      ['Seg-R1-3B, SFT first', '.850 .798 .902 .036', '.810 .798 .861 .077'],
      ['Seg-R1-3B', '.857 .816 .908 .033', '.805 .797 .853 .079'],
      ['Seg-R1-7B', '.873 .820 .926 .031', '.826 .788 .881 .073'],
    ],
  },
  {
    title: 'Table 2, salient objects',
    sets: ['dut-omron/test', 'duts/test', 'hku-is/test', 'ecssd/test'],
    columns: ['S', 'F', 'E', 'M'],
    rows: [
      ['BBRF', '.855 .843 .887 .042', '.908 .916 .927 .025', '.935 .958 .965 .020', '.939 .963 .934 .022'],
      ['EVPv1', '.862 .858 .894 .046', '.913 .923 .947 .026', '.931 .952 .961 .024', '.935 .960 .957 .027'],
      ['EVPv2', '.862 .857 .895 .047', '.915 .923 .948 .027', '.932 .953 .963 .023', '.935 .958 .957 .028'],
      ['SelfReformer', '.859 .838 .884 .043', '.911 .916 .920 .026', '.930 .947 .959 .024', '.941 .963 .935 .025'],
      ['FOCUS', '.868 .836 .900 .045', '.929 .928 .965 .019', '.935 .942 .974 .018', '.943 .954 .971 .018'],
      ['NSAL', '.745 .648 .801 .088', '.782 .730 .849 .073', '.854 .864 .923 .051', '.834 .856 .883 .078'],
      ['SLF', '.778 .708 .844 .066', '.793 .750 .865 .060', '.851 .857 .923 .050', '.864 .878 .908 .056'],
      ['HSS', '- - - .050', '.837 .807 - .050', '.887 .892 - .038', '.886 .899 - .051'],
      ['A2S', '- .719 .841 .069', '- .750 .860 .065', '- .887 .937 .042', '- .888 .911 .064'],
      ['A2SV2', '- .731 .851 .065', '- .767 .871 .061', '- .891 .939 .041', '- .902 .923 .056'],
      ['A2SV3', '- .759 .868 .062', '- .816 .906 .047', '- .908 .954 .033', '- .923 .951 .038'],
      ['Grounded SAM2', '.708 .590 .744 .102', '.800 .748 .833 .078', '.825 .842 .864 .069', '.845 .849 .871 .078'],
      [
        'Seg-R1-3B, SFT first',
        '.837 .789 .878 .048',
        '.861 .848 .856 .048',
        '.780 .818 .820 .077',
        '.881 .871 .901 .052',
      ],
      ['Seg-R1-3B', '.852 .821 .890 .045', '.866 .863 .899 .045', '.772 .814 .809 .078', '.882 .908 .903 .050'],
      [
        'Seg-R1-3B tuned on DUTS',
        '.868 .839 .906 .047',
        '.909 .914 .942 .031',
        '.890 .914 .925 .041',
        '.916 .939 .940 .036',
      ],
      [
        'Seg-R1-7B tuned on DUTS',
        '.878 .850 .911 .045',
        '.925 .922 .953 .025',
        '.935 .950 .966 .022',
        '.939 .956 .962 .025',
      ],
    ],
  },
  {
    title: 'Table 3, referring expressions, percent',
    sets: [
      'refcoco/testA',
      'refcoco/testB',
      'refcoco/val',
      'refcoco+/testA',
      'refcoco+/testB',
      'refcoco+/val',
      'refcocog/test',
      'refcocog/val',
    ],
    columns: ['cIoU'],
    rows: [
      ['LAVT', '75.8', '68.8', '72.7', '68.4', '55.1', '62.1', '66.0', '65.0'],
      ['X-Decoder', '-', '-', '-', '-', '-', '-', '-', '64.6'],
      ['SEEM', '-', '-', '-', '-', '-', '-', '-', '65.7'],
      ['LISA-7B', '76.5', '71.1', '74.1', '67.5', '56.5', '62.4', '68.5', '66.4'],
      ['PixelLM-7B', '76.5', '68.2', '73.0', '71.7', '58.3', '66.3', '70.5', '69.3'],
      ['OMG-LLaVA-7B', '77.7', '71.2', '75.6', '69.7', '58.9', '65.6', '70.2', '70.7'],
      ['Seg-R1-3B, SFT first', '65.8', '54.7', '58.7', '56.2', '45.0', '49.1', '57.0', '57.9'],
      ['Seg-R1-3B', '76.0', '64.9', '69.9', '66.8', '50.9', '59.1', '67.9', '67.3'],
      ['Seg-R1-7B', '78.7', '67.6', '74.3', '70.9', '57.9', '62.6', '71.4', '71.0'],
    ],
  },
  {
    title: 'Table 4, ReasonSeg, percent',
    sets: ['reasonseg/val', 'reasonseg/test'],
    columns: ['gIoU', 'cIoU'],
    rows: [
      ['OVSeg', '28.5 18.6', '26.1 20.8'],
      ['GRES', '22.4 19.9', '21.3 22.0'],
      ['X-Decoder', '22.6 17.9', '21.7 16.3'],
      ['SEEM', '25.5 21.2', '24.3 18.7'],
      ['Grounded-SAM', '26.0 14.5', '21.3 16.4'],
      ['LISA-7B', '44.4 46.0', '36.8 34.1'],
      ['Seg-R1-3B, SFT first', '50.3 35.5', '42.4 30.0'],
      ['Seg-R1-3B', '60.8 56.2', '55.3 46.6'],
      ['Seg-R1-7B', '58.6 41.2', '56.7 53.7'],
    ],
  },
];

/** The published results of a set; undefined where there are none. @param set as in `cod10k/test`. */
export function paperOf(set: string): PaperSet | undefined {
  for (const { title, sets, columns, rows } of tables) {
    const at = sets.indexOf(set);
    if (at < 0) continue;
    const own = rows.map(([method, ...values]) => ({ method, values: (values[at] ?? '').split(' ') }));
    return { title, columns, rows: own.filter(({ values }) => values.some((value) => value !== '-')) };
  }
  return undefined;
}
