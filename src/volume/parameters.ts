import type { SuiteName } from "../crypto/suite.ts";
import { VolumeError } from "./errors.ts";
import type { VolumeStore } from "./store.ts";

/**
 * The full set of a kind's parameters, defaults filled in.
 *
 * @throws {VolumeError} `VOLUME_PARAMETER_INVALID` for a name the kind does not have, a value it does not take, or a
 *   suite it cannot encrypt with.
 */
export function settleParameters(
  store: VolumeStore,
  suite: SuiteName,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const refuse = (message: string) => new VolumeError("VOLUME_PARAMETER_INVALID", message);
  if (!store.suites.includes(suite))
    throw refuse(
      `a ${store.kind} volume cannot use the suite ${suite}, only ${store.suites.join(" and ")}; choose another kind`,
    );
  const known = Object.keys(store.parameters);
  for (const name of Object.keys(given)) {
    if (!known.includes(name))
      throw refuse(
        `a ${store.kind} volume has no parameter ${JSON.stringify(name)}; it has ${known.join(", ") || "none"}`,
      );
  }
  const settled: Record<string, string> = {};
  for (const [name, rule] of Object.entries(store.parameters)) {
    const value = Object.hasOwn(given, name) ? (given[name] ?? "") : rule.default;
    if (!rule.pattern.test(value))
      throw refuse(
        `the parameter ${name} of a ${store.kind} volume (${rule.meaning}) does not take ${JSON.stringify(value)}`,
      );
    settled[name] = value;
  }
  store.checkParameters?.(settled);
  return settled;
}
