/** A block as the load's client has read it from a node. */
export interface SeenBlock {
  readonly height: number;
  /** The proposer's time, Unix milliseconds. */
  readonly timestampMs: number;
  /** Transactions of the load that it holds. */
  readonly transactions: number;
}

export interface BlockFigures {
  readonly blocks: number;
  readonly meanBlockMs: number;
  readonly longestBlockMs: number;
  readonly perSecond: number;
  /** The least of all stretches of blocks that last 10 s at least; undefined when the run is shorter. */
  readonly leastPerSecond: number | undefined;
}

const windowMs = 10_000;

/**
 * Rates between blocks: what came into the blocks after one and up to another, over the time between the two. So no second that
 * is cut in half counts as a slow one.
 *
 * @param blocks - From the first that holds a transaction of the load, ascending.
 */
export function blockFigures(blocks: readonly SeenBlock[], beganMs: number, endedMs: number): BlockFigures {
  // The first block takes what waited since the load began, the last what came after its end.
  const within = blocks.filter(({ timestampMs }) => timestampMs >= beganMs && timestampMs <= endedMs);
  const gaps = within.slice(1).map(({ timestampMs }, index) => timestampMs - (within[index]?.timestampMs ?? 0));
  const stretches = within.flatMap((first, index) => {
    const end = within.findIndex(({ timestampMs }) => timestampMs - first.timestampMs >= windowMs);
    return end < 0 ? [] : [rate(within.slice(index, end + 1))];
  });
  return {
    blocks: within.length,
    meanBlockMs: gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length,
    longestBlockMs: Math.max(...gaps),
    perSecond: rate(within),
    leastPerSecond: stretches.length === 0 ? undefined : Math.min(...stretches),
  };
}

function rate(blocks: readonly SeenBlock[]): number {
  const first = blocks[0];
  const last = blocks.at(-1);
  if (first === undefined || last === undefined || first === last) return 0;
  const transactions = blocks.slice(1).reduce((sum, block) => sum + block.transactions, 0);
  return (transactions * 1000) / (last.timestampMs - first.timestampMs);
}
