import type { KeyObject } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import type { CCParameters } from "../messages/generated/fpc/fpc_pb.ts";
import type { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import type { EnclaveId } from "../protocol/enclave-id.ts";
import { activeGeneration } from "./active-generation.ts";
import type { LedgerView } from "./ledger-view.ts";
import type { OpenEnclave } from "./open-enclave.ts";

/** Asks the untrusted host for something of the transaction's, such as a stored value, while the invocation runs. */
export type AskHost = (name: string, ...parts: readonly Uint8Array[]) => Promise<readonly Buffer[]>;

/** A chaincode inside the enclave: what an invocation's parts are, and its answer's, is between it and the stub. */
export type InvocationHandler = (
  parts: readonly Buffer[],
  keys: InvocationKeys,
  askHost: AskHost,
) => Promise<readonly Uint8Array[]>;

/** What an invocation may use of the enclave's keys. All of it stays the enclave's, and is wiped by it alone. */
export class InvocationKeys {
  readonly #enclave: OpenEnclave;

  constructor(enclave: OpenEnclave) {
    this.#enclave = enclave;
  }

  get enclaveId(): EnclaveId {
    return this.#enclave.identity.read.enclaveId;
  }

  get ccParams(): CCParameters {
    return this.#enclave.identity.read.ccParams;
  }

  /** Enclave_SK. */
  get signingKey(): KeyObject {
    return this.#enclave.identity.signingKey;
  }

  /** What the chaincode's state and the channel's members are. */
  get ledger(): Pick<LedgerView, "stateHashes" | "isMember"> {
    return this.#enclave.ledger;
  }

  /**
   * The generation to write under, as the ledger has it now. An enclave that may not endorse has no business with calls, were it
   * queries alone: it may be of a former version of the chaincode, whose mistakes the present one has mended.
   *
   * @throws EnclaveError NOT_PROVISIONED, EK_MISMATCH, POLICY_DENIED: this enclave may not endorse, or an enclave was revoked and the
   *   keys have to be rotated; what the trusted ledger throws
   */
  async active(): Promise<ChaincodeGeneration> {
    const [mayEndorse, active] = await Promise.all([
      this.#enclave.ledger.canEndorse(this.enclaveId.text),
      activeGeneration(this.#enclave),
    ]);
    if (!mayEndorse)
      throw new EnclaveError("POLICY_DENIED", "this enclave may not endorse for the chaincode, and answers no calls", {
        hint: "strongroom fpc status says of which version it is, and whether it is revoked; attest again where its evidence is old",
      });
    return active.keys;
  }

  /** The generations to read under. */
  get held(): readonly ChaincodeGeneration[] {
    return this.#enclave.generations.map(({ keys }) => keys);
  }
}
