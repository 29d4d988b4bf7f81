import { readHashes } from "../../../../src/enclave/ecc/state-queries.ts";
import type { RecordName } from "../../../../src/enclave/ercc/registry-state.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import type { SeenLedger, TrustedLedger } from "../../../../src/enclave/trusted-ledger/trusted-ledger.ts";

/**
 * A fake: it believes whatever its host answers. What enclaves do with what a trusted ledger says can be tested over it; how
 * a trusted ledger comes to know is tested with those of the product.
 */
export class BelievingLedger implements TrustedLedger {
  /** It tells of none but what a test gives it. */
  seen: SeenLedger = { block: 0n, records: [] };
  readonly #exchange: LedgerExchange;

  constructor(exchange: LedgerExchange) {
    this.#exchange = exchange;
  }

  async canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean> {
    return (await this.#ask("canEndorse", chaincodeId, enclaveId)) === "true";
  }

  async stateHashes(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return readHashes((await this.#ask("stateHashes", ...keys)) ?? "", keys.length);
  }

  async isMember(serializedIdentity: Uint8Array): Promise<boolean> {
    return (await this.#ask("isMember", Buffer.from(serializedIdentity).toString("base64"))) === "true";
  }

  async record(name: RecordName): Promise<Uint8Array | undefined> {
    return (await this.#exchange({ kind: "record", name }))[0];
  }

  async #ask(what: string, ...args: readonly string[]): Promise<string | undefined> {
    const proposal = Buffer.from(JSON.stringify({ [what]: args }));
    const [answer] = await this.#exchange({ kind: "endorse", proposal, organisations: [] });
    return answer === undefined ? undefined : Buffer.from(answer).toString();
  }
}
