/** How one check ended. `not supported`: the device says that it does not do this, which is no failure. */
export type CheckOutcome = "passed" | "failed" | "not supported";

export interface CheckResult {
  /** Names the check in reports of every version. */
  readonly id: string;
  /** What the device has to do. */
  readonly demand: string;
  readonly outcome: CheckOutcome;
  /** The library's own code of what went wrong, `0x0100000E` or `CKR_…`; null where none was given. */
  readonly vendorCode: string | null;
  /** What was seen, where it was not what the check demands. Never a secret. */
  readonly detail: string | null;
  /** How long the check took, in milliseconds. */
  readonly ms: number;
}

/** What is handed to a vendor. */
export interface ConformanceReport {
  readonly device: string;
  readonly kind: string;
  readonly info: Readonly<Record<string, string | number | boolean>>;
  readonly startedAt: string;
  readonly checks: readonly CheckResult[];
  readonly passed: number;
  readonly failed: number;
  readonly notSupported: number;
}

/** The report in plain lines. */
export function reportText(report: ConformanceReport): string {
  const { device, kind, info, startedAt, checks, passed, failed, notSupported } = report;
  const width = Math.max(...checks.map(({ id }) => id.length), 0);
  return [
    `Conformance of device ${device} (${kind}), ${startedAt}`,
    ...Object.entries(info).map(([name, value]) => `  ${name}: ${value}`),
    "",
    ...checks.map(({ id, outcome, demand, vendorCode, detail, ms }) =>
      [
        `${outcome.padEnd(13)} ${id.padEnd(width)}  ${demand} (${ms.toFixed(0)} ms)`,
        ...(vendorCode === null && detail === null
          ? []
          : [`${" ".repeat(14)}${[vendorCode, detail].filter((each) => each !== null).join(": ")}`]),
      ].join("\n"),
    ),
    "",
    `${passed} passed, ${failed} failed, ${notSupported} not supported`,
  ].join("\n");
}
