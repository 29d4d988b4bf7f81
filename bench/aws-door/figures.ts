/** The middle one. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export interface Tail {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function tailOf(latenciesMs: readonly number[]): Tail {
  const sorted = latenciesMs.toSorted((left, right) => left - right);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** A cell of a table, to the right. */
export function cell(text: string): string {
  return text.padStart(12);
}

/** Whether a figure is within its target: `target: at most 0.5 ms: met`. */
export function verdict(figure: number, most: number, unit: string): string {
  return `target: at most ${most}${unit}: ${figure <= most ? "met" : "MISSED"}`;
}
