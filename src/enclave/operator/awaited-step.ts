import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import type { EnclaveRow } from "./status.ts";

/** A step that somebody has to take before the chaincode's enclaves and keys are as they are to be; or that there is none. */
export interface Awaited {
  /** The organisations of which any one may take it; none where there is no step. */
  readonly of: readonly string[];
  /** Of `strongroom fpc`, without the options that say where: `keys import`. Undefined: no step of anybody's helps. */
  readonly command: string | undefined;
  /** The enclave that has to take it, upper-case hexadecimal; undefined where it is no one enclave's turn. */
  readonly enclave: string | undefined;
  /** What the step is for. */
  readonly why: string;
}

/** What the ledger has beside a chaincode's status that tells whose turn it is. */
export interface AwaitedFacts {
  /** In force. */
  readonly policy: Pick<Policy, "organisations" | "threshold" | "recoveryThreshold" | "successor" | "allowedVersions">;
  /** The organisation whose enclave proposed the generation that is proposed; undefined where none is. */
  readonly proposer: string | undefined;
  /** Organisations that call for the end of that proposal. */
  readonly abandonVotes: readonly string[];
  /** Generations that lie exported on the ledger, by the receiving enclave's id: of keys that are in force or proposed. */
  readonly exported: ReadonlyMap<string, number>;
}

/** Each once, in order. */
export function organisationsOf(enclaves: readonly EnclaveRow[]): readonly string[] {
  return [...new Set(enclaves.map(({ mspId }) => mspId))].sort();
}

/** An enclave's id as tables show it; commands take the first digits. */
export function shortId(id: string): string {
  return id.slice(0, 16);
}
