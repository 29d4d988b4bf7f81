import { EnclaveError } from "../errors.ts";
import { type Policy, TrustedLedgerParametersSchema } from "../messages/generated/fpc/policy_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { policyHash, readPolicy, verifySignedPolicy } from "../protocol/policy.ts";
import type { LedgerView } from "./ledger-view.ts";

/**
 * The policy document that governs the keys. The first one's hash is attested; each later one is verified to be signed by the
 * organisations of the one before. So not even all peers together can put another policy in its place.
 */
export class PolicyInForce {
  readonly #ledger: LedgerView;
  readonly #firstHash: Buffer;
  #verified: Policy | undefined;

  /** @param trustedLedger - Bytes of the attested TrustedLedgerParameters. */
  constructor(ledger: LedgerView, trustedLedger: Uint8Array) {
    this.#ledger = ledger;
    this.#firstHash = Buffer.from(decodeStrict(TrustedLedgerParametersSchema, trustedLedger).firstPolicyHash);
  }

  /**
   * @throws EnclaveError NOT_FOUND: the chaincode has none; WRONG_CONTEXT: another line of policies than the attested one;
   *   BAD_SIGNATURE; REPLAY: older than one seen before
   */
  async read(): Promise<Policy> {
    const signed = await this.#ledger.signedPolicy();
    if (signed === undefined) throw new EnclaveError("NOT_FOUND", "the ledger has no policy for this chaincode");
    const { number } = readPolicy(signed.policy);
    this.#ledger.checkPolicy(number);
    let policy = this.#verified;
    while (policy === undefined || policy.number < number) policy = await this.#next(policy, number, signed.policy);
    if (!policyHash(policy).equals(policyHash(readPolicy(signed.policy))))
      throw new EnclaveError("WRONG_CONTEXT", `the ledger has two policies of number ${number}`);
    this.#ledger.notePolicy(number);
    this.#verified = policy;
    return policy;
  }

  async #next(before: Policy | undefined, last: bigint, lastBytes: Uint8Array): Promise<Policy> {
    const number = (before?.number ?? 0n) + 1n;
    const signed = await this.#ledger.signedPolicy(number);
    if (signed === undefined)
      throw new EnclaveError("NOT_FOUND", `the ledger has policy ${last} and lacks ${number}, which leads to it`);
    const policy = verifySignedPolicy(signed, before);
    if (before === undefined && !policyHash(policy).equals(this.#firstHash))
      throw new EnclaveError("WRONG_CONTEXT", "the first policy on the ledger is not the one that is attested");
    if (number === last && !Buffer.from(lastBytes).equals(signed.policy))
      throw new EnclaveError("WRONG_CONTEXT", `the ledger has two policies of number ${number}`);
    return policy;
  }
}
