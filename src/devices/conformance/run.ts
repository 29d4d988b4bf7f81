import { AwsKmsError } from "../aws-kms/errors.ts";
import { DeviceError } from "../errors.ts";
import { type Check, checks } from "./checks.ts";
import { NotSupported } from "./failures.ts";
import type { CheckOutcome, CheckResult, ConformanceReport } from "./report.ts";
import type { ConformanceSubject } from "./subject.ts";

/**
 * Runs every check against a device, one after the other. No check sends a wrong PIN, changes a key that was there, or leaves a key
 * behind.
 *
 * @param tell - Told of each result as it comes.
 */
export async function runConformance(
  subject: ConformanceSubject,
  tell: (result: CheckResult) => void = () => {},
): Promise<ConformanceReport> {
  const startedAt = new Date().toISOString();
  const results: CheckResult[] = [];
  for (const check of checks) {
    const result = await runCheck(check, subject);
    results.push(result);
    tell(result);
  }
  const count = (outcome: CheckOutcome) => results.filter((each) => each.outcome === outcome).length;
  return {
    device: subject.name,
    kind: subject.kind,
    info: subject.info,
    startedAt,
    checks: results,
    passed: count("passed"),
    failed: count("failed"),
    notSupported: count("not supported"),
  };
}

async function runCheck({ id, demand, run }: Check, subject: ConformanceSubject): Promise<CheckResult> {
  const beganMs = performance.now();
  const ended = (outcome: CheckOutcome, error?: unknown): CheckResult => ({
    id,
    demand,
    outcome,
    vendorCode: vendorCodeOf(error),
    detail: error === undefined ? null : detailOf(error),
    ms: Math.round(performance.now() - beganMs),
  });
  try {
    await run(subject);
    return ended("passed");
  } catch (error) {
    return ended(isUnsupported(error) ? "not supported" : "failed", error);
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof NotSupported || (error instanceof DeviceError && error.code === "DEVICE_UNSUPPORTED");
}

function vendorCodeOf(error: unknown): string | null {
  if (error instanceof DeviceError) return error.failure?.code ?? error.code;
  return error instanceof AwsKmsError ? error.code : null;
}

function detailOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 500);
}
