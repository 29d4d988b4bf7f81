/** How much a test does: `script/test` runs 1/20 of each full count, `script/test --long` all of it. */
export const long: boolean = process.env.STRONGROOM_TEST_LONG === "1";

/** The seed of this run, printed by the runner; property tests and fault injection draw from it. */
export const seed: number = Number(process.env.STRONGROOM_TEST_SEED ?? 1);

/** `full` under `--long`, else a twentieth of it, at least 1. */
export function scaled(full: number): number {
  return long ? full : Math.max(1, Math.ceil(full / 20));
}
