import type { RecordName } from "../../../../src/enclave/ercc/registry-state.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import type { TrustedLedger } from "../../../../src/enclave/trusted-ledger/trusted-ledger.ts";

/**
 * A fake: it believes whatever its host answers. What enclaves do with what a trusted ledger says can be tested over it; how
 * a trusted ledger comes to know is tested with those of the product.
 */
export class BelievingLedger implements TrustedLedger {
  readonly #exchange: LedgerExchange;

  constructor(exchange: LedgerExchange) {
    this.#exchange = exchange;
  }

  async canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean> {
    const proposal = Buffer.from(JSON.stringify({ canEndorse: [chaincodeId, enclaveId] }));
    const [answer] = await this.#exchange({ kind: "endorse", proposal, organisations: [] });
    return Buffer.from(answer ?? []).toString() === "true";
  }

  async record(name: RecordName): Promise<Uint8Array | undefined> {
    return (await this.#exchange({ kind: "record", name }))[0];
  }
}
