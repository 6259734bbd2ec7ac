/**
 * The share of foreground clicks that lie in a box of the same answer; 0 where nothing could be read.
 *
 * @param {import('segr1').RewardInput} input one row and its answers, [G] each
 * @returns {number[]} [G], in [0, 1]; null would mean that an answer can't be scored
 */
export function reward({ prompts }) {
  return prompts.map((prompt) => {
    const clicks = (prompt?.objects ?? []).flatMap(({ box, points }) =>
      points.filter(({ label }) => label === 1).map((point) => isIn(point, box)),
    );
    return clicks.length === 0 ? 0 : clicks.filter((inside) => inside).length / clicks.length;
  });
}

const isIn = ({ x, y }, box) => box !== undefined && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
