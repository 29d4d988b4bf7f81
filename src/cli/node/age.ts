/** From which span on, the unit's seconds and its name. */
const units = [
  [2 * 86_400, 86_400, "days"],
  [2 * 3600, 3600, "h"],
  [2 * 60, 60, "min"],
  [0, 1, "s"],
] as const;

/**
 * How long ago a moment was, as people say it. One that is ahead by this machine's clock is of now.
 *
 * @param at - ISO 8601.
 * @param nowMs - Unix time in milliseconds.
 */
export function age(at: string, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(at)) / 1000));
  const [, unitSeconds, unit] = units.find(([from]) => seconds >= from) ?? units[3];
  return `${Math.floor(seconds / unitSeconds)} ${unit}`;
}
