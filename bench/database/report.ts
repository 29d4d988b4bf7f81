import { median, percent, type Rounds, ratios } from "../device/rounds.ts";
import type { Figures } from "./round.ts";
import type { SubjectName } from "./subjects.ts";

export interface Reported {
  readonly names: readonly SubjectName[];
  readonly rounds: readonly ReadonlyMap<SubjectName, Figures>[];
  readonly points: number;
  readonly kinds: readonly string[];
  /** The provider of SM4 that was chosen. */
  readonly sm4: string;
}

/** Of plain influxd's points a second, at least. */
const leastPoints: Readonly<Record<Exclude<SubjectName, "plain">, number>> = {
  SM4: 0.9,
  "SM4 node:crypto": 0.75,
  "AES-256-GCM": 0.9,
};
/** Of plain influxd's time for a query and of its disk, at most. */
const mostTime = 1.15;
const mostDisk = 1.1;
const processNames = ["influxd", "proxy", "sealfs", "client"] as const;

/** Prints the table. @returns The targets that were missed. */
export function report({ names, rounds, points, kinds, sm4 }: Reported): readonly string[] {
  const missed: string[] = [];
  const of = (name: SubjectName, figure: (figures: Figures) => number): Rounds =>
    rounds.map((round) => {
      const own = round.get(name);
      return own === undefined ? Number.NaN : figure(own);
    });
  const row = (
    what: string,
    digits: number,
    figure: (figures: Figures) => number,
    misses?: (ratio: number, name: Exclude<SubjectName, "plain">) => string | undefined,
  ): void => {
    const cells = names.map((name) => {
      const own = of(name, figure);
      const shown = median(own).toFixed(digits);
      if (name === "plain" || misses === undefined || !names.includes("plain")) return shown.padStart(19);
      const ratio = median(ratios(own, of("plain", figure)));
      const target = misses(ratio, name);
      if (target !== undefined) missed.push(`${name}, ${what}: ${percent(ratio)} of plain, ${target}`);
      return `${shown} (${percent(ratio)}${target === undefined ? "" : " !"})`.padStart(19);
    });
    console.log(what.padEnd(28) + cells.join(""));
  };
  const atMost = (most: number) => (ratio: number) => (ratio <= most ? undefined : `at most ${percent(most)}`);

  console.log(
    `${points} points, medians of ${rounds.length} rounds; in brackets the share of plain; SM4 by ${sm4}; ! misses its target\n`,
  );
  console.log("".padEnd(28) + names.map((name) => name.padStart(19)).join(""));
  row(
    "points a second",
    0,
    (each) => each.pointsPerSecond,
    (ratio, name) => (ratio >= leastPoints[name] ? undefined : `at least ${percent(leastPoints[name])}`),
  );
  for (const kind of kinds) row(`${kind}, ms`, 2, (each) => each.queryMs.get(kind) ?? Number.NaN, atMost(mostTime));
  row("on the disk, MB", 1, (each) => each.diskBytes / 1e6, atMost(mostDisk));
  for (const name of processNames) row(`CPU s, ${name}`, 2, (each) => each.cpuSeconds.get(name) ?? 0);
  console.log(
    `\ntargets: points a second at least ${percent(leastPoints.SM4)} (SM4, AES) and ${percent(leastPoints["SM4 node:crypto"])} (node:crypto), ` +
      `each query at most ${percent(mostTime)} of the time, disk at most ${percent(mostDisk)}`,
  );
  return missed;
}
