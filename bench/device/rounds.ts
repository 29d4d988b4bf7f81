/** One figure a round and subject; ratios are taken round by round, since a shared machine is faster in one second than in the next. */
export type Rounds = readonly number[];

/** One ratio a round. */
export function ratios(above: Rounds, below: Rounds): Rounds {
  return above.map((each, round) => each / (below[round] ?? Number.NaN));
}

export function median(values: Rounds): number {
  return quantile(values, 0.5);
}

/** The median, and between what the middle half lies. */
export function spread(values: Rounds, show: (value: number) => string): string {
  return `${show(quantile(values, 0.5))} (${show(quantile(values, 0.25))} to ${show(quantile(values, 0.75))})`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/** One line of the report, with what is aimed at. */
export function verdict(name: string, values: Rounds, show: (value: number) => string, target: Target): string {
  const reached = median(values);
  const met = target.atLeast === undefined ? reached < target.below : reached >= target.atLeast;
  const aim = target.atLeast === undefined ? `below ${show(target.below)}` : `at least ${show(target.atLeast)}`;
  return `${name}: ${spread(values, show)}, target: ${aim}: ${met ? "met" : "MISSED"}`;
}

type Target = { readonly atLeast: number } | { readonly atLeast?: undefined; readonly below: number };

function quantile(values: Rounds, share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}
