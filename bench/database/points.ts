/** The points of the benchmark, and what is asked about them. */

/** A line of line protocol each: hosts in turn, ten seconds from one step to the next. */
export const hosts = 100;
export const linesOfRequest = 5000;
/** Shard groups of a week begin on Mondays: all points lie in one. */
const beginsSeconds = Date.UTC(2023, 10, 13) / 1000;
const stepSeconds = 10;
const regions = ["north", "east", "south", "west"];

/**
 * The bodies of the requests that write so many points, the same in each run.
 *
 * @param points - A multiple of {@link linesOfRequest}.
 */
export function bodiesOf(points: number): readonly Buffer[] {
  const random = generator(42);
  const bodies: Buffer[] = [];
  for (let from = 0; from < points; from += linesOfRequest) {
    const lines: string[] = [];
    for (let point = from; point < from + linesOfRequest; point += 1) {
      const host = point % hosts;
      const seconds = beginsSeconds + Math.floor(point / hosts) * stepSeconds;
      const region = regions[host % regions.length];
      const [user, system, requests] = [
        (random() * 100).toFixed(3),
        (random() * 20).toFixed(3),
        Math.floor(random() * 1e5),
      ];
      lines.push(
        `cpu,host=host-${host},region=${region} user=${user},system=${system},requests=${requests}i ${seconds}000000000`,
      );
    }
    bodies.push(Buffer.from(`${lines.join("\n")}\n`));
  }
  return bodies;
}

/** What is asked, by its kind; `hour` of it lies in the middle of the points. */
export function queriesOver(points: number): ReadonlyMap<string, string> {
  const steps = points / hosts;
  const endsSeconds = beginsSeconds + steps * stepSeconds;
  const hourSeconds = beginsSeconds + Math.floor(steps / 2) * stepSeconds;
  const all = `time >= ${beginsSeconds}s AND time < ${endsSeconds}s`;
  const hour = `time >= ${hourSeconds}s AND time < ${hourSeconds + 3600}s`;
  const eight = Array.from({ length: 8 }, (_, each) => `host = 'host-${each * 7}'`).join(" OR ");
  return new Map([
    ["count of all", 'SELECT count("user") FROM cpu'],
    ["means of 1 h, each host", `SELECT mean("user") FROM cpu WHERE ${all} GROUP BY time(1h), host`],
    ["scan with a filter", `SELECT count(system) FROM cpu WHERE "user" > 99 AND ${all}`],
    [
      "means of 1 h, one host",
      `SELECT mean("user"), max(system) FROM cpu WHERE host = 'host-42' AND ${all} GROUP BY time(1h)`,
    ],
    ["raw hour of one host", `SELECT * FROM cpu WHERE host = 'host-42' AND ${hour}`],
    ["last of each host", 'SELECT last("user") FROM cpu GROUP BY host'],
    ["maxima of 1 m, 8 hosts", `SELECT max(requests) FROM cpu WHERE (${eight}) AND ${all} GROUP BY time(1m), host`],
    ["values of a tag", "SHOW TAG VALUES FROM cpu WITH KEY = host"],
  ]);
}

/** Numerical Recipes' linear congruential generator. */
function generator(document: number): () => number {
  let state = document >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
