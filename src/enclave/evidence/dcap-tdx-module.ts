import type { TDReport10 } from "@phala/dcap-qvl";
import { badEvidence } from "./verifier.ts";

interface ModuleIdentity {
  readonly mrsigner: string;
  readonly attributes: string;
  readonly attributesMask: string;
}

/**
 * Judges the TDX module that a quote was made under by Intel's `tdxModule` and `tdxModuleIdentities` (TCB info of version 3),
 * which the quote library leaves aside: its signer, its attributes, and the TCB level of its version.
 *
 * @param status - The platform's TCB status so far
 * @returns The status with the module's taken in
 * @throws EnclaveError BAD_EVIDENCE: not a module of Intel's, of an unknown version, or revoked
 */
export function judgeTdxModule(report: TDReport10, tcbInfo: Record<string, unknown>, status: string): string {
  const [svn = 0, version = 0] = report.teeTcbSvn;
  checkIdentity(report, tcbInfo.tdxModule as ModuleIdentity | undefined);
  if (version === 0) return status;
  const id = `TDX_${version.toString(16).padStart(2, "0").toUpperCase()}`;
  const identities = tcbInfo.tdxModuleIdentities as
    | readonly (ModuleIdentity & { id: string; tcbLevels: readonly { tcb: { isvsvn: number }; tcbStatus: string }[] })[]
    | undefined;
  const identity = identities?.find((one) => one.id === id);
  if (identity === undefined) throw badEvidence(`the TCB info knows no TDX module ${id}`);
  checkIdentity(report, identity);
  const level = identity.tcbLevels.find((one) => svn >= one.tcb.isvsvn)?.tcbStatus;
  if (level === "UpToDate") return status;
  if (level !== "OutOfDate") throw badEvidence(`the TDX module ${id} has TCB status ${level ?? "below every level"}`);
  if (status === "UpToDate" || status === "SWHardeningNeeded") return "OutOfDate";
  return status.startsWith("Configuration") ? "OutOfDateConfigurationNeeded" : status;
}

function checkIdentity(report: TDReport10, identity: ModuleIdentity | undefined): void {
  if (identity === undefined) throw badEvidence("the TCB info has no TDX module");
  const [signer, wanted, mask] = [identity.mrsigner, identity.attributes, identity.attributesMask].map((text) =>
    Buffer.from(text, "hex"),
  );
  const masked = Buffer.from(report.seamAttributes.map((byte, index) => byte & (mask?.[index] ?? 0xff)));
  if (!signer?.equals(report.mrSignerSeam) || !wanted?.equals(masked))
    throw badEvidence("the quote was not made under a TDX module of Intel's");
}
