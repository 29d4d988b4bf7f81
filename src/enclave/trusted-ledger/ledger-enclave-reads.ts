import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { compositeKey, type RecordName } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import {
  type Request,
  RequestSchema,
  type Response,
  ResponseSchema,
} from "../messages/generated/fpc/trusted_ledger_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import type { LedgerExchange } from "./exchange.ts";
import { RequesterSession, type RequesterSettings, SessionLost } from "./session/requester.ts";
import type { SeenLedger, TrustedLedger } from "./trusted-ledger.ts";

export interface LedgerEnclaveSettings extends RequesterSettings {
  /** A block that every answer has to rest on at least: of what was sealed, say. @defaultValue `0n` */
  readonly minimumBlock?: bigint;
  /** How often is asked while ledger enclave and host's peer are not at the same block. @defaultValue 5 */
  readonly attempts?: number;
  /** Before the second attempt; each later one waits as long again. @defaultValue 100 */
  readonly waitMs?: number;
}

const noRecord = Buffer.alloc(32);

/**
 * Hears of the ledger from the ledger enclave, over an attested session (steps 16 and 24 of the document). The ledger enclave
 * answers with hashes; the records themselves come from the host and have to have these.
 */
export class LedgerEnclaveReads implements TrustedLedger {
  readonly #exchange: LedgerExchange;
  readonly #settings: Required<LedgerEnclaveSettings>;
  #session: RequesterSession | undefined;
  #highestBlock: bigint;
  /** The last request: the next one waits for it, for the ledger enclave takes a session's requests in order. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(exchange: LedgerExchange, settings: LedgerEnclaveSettings) {
    this.#exchange = exchange;
    this.#settings = { minimumBlock: 0n, attempts: 5, waitMs: 100, ...settings };
    this.#highestBlock = this.#settings.minimumBlock;
  }

  /** An enclave that keeps it hands the block over as `minimumBlock` after its restart. */
  get seen(): SeenLedger {
    return { block: this.#highestBlock, records: [] };
  }

  async canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean> {
    const { response } = await this.#ask({ case: "canEndorse", value: { chaincodeId, enclaveId } });
    if (response.case !== "canEndorse") throw anotherAnswer();
    return response.value.isValid;
  }

  async record(name: RecordName): Promise<Uint8Array | undefined> {
    const { attempts, waitMs, erccName } = this.#settings;
    const key = compositeKey(name);
    for (let attempt = 1; ; attempt += 1) {
      const [value] = await this.#exchange({ kind: "record", name });
      const { response } = await this.#ask({ case: "metadata", value: { namespace: erccName, key } });
      if (response.case !== "metadata") throw anotherAnswer();
      const { hash } = response.value;
      const isThere = !noRecord.equals(hash);
      if (isThere && value !== undefined && sha256(value).equals(hash)) return value;
      if (!isThere && value === undefined) return undefined;
      // Between the two questions a block may have come, or one of the two has it not yet. In the end the ledger enclave is right.
      if (attempt >= attempts) {
        if (!isThere) return undefined;
        throw new EnclaveError("REPLAY", `the host has another record under ${name.type} than the ledger`);
      }
      await wait(waitMs * attempt);
    }
  }

  async stateHashes(keys: readonly string[], minimumBlock = 0n): Promise<readonly (Uint8Array | undefined)[]> {
    const value = { namespace: this.#settings.chaincodeId, keys: [...keys] };
    const { response } = await this.#ask({ case: "stateHashes", value }, minimumBlock);
    if (response.case !== "stateHashes" || response.value.hashes.length !== keys.length) throw anotherAnswer();
    return response.value.hashes.map((hash) => (noRecord.equals(hash) ? undefined : hash));
  }

  /** One hash over all records of the type whose first attributes are these; undefined where there is none. */
  async recordsHash(name: RecordName): Promise<Uint8Array | undefined> {
    const value = { namespace: this.#settings.erccName, compoKey: compositeKey(name) };
    const { response } = await this.#ask({ case: "multiMetadata", value });
    if (response.case !== "multiMetadata") throw anotherAnswer();
    const { hash } = response.value;
    return noRecord.equals(hash) ? undefined : hash;
  }

  async isMember(serializedIdentity: Uint8Array): Promise<boolean> {
    const { response } = await this.#ask({ case: "validateIdentity", value: { serializedIdentity } });
    if (response.case !== "validateIdentity") throw anotherAnswer();
    return response.value.isValid;
  }

  async #ask(request: Question, demandedBlock = 0n): Promise<Response> {
    const { attempts, waitMs } = this.#settings;
    const minimumBlock = demandedBlock > this.#settings.minimumBlock ? demandedBlock : this.#settings.minimumBlock;
    const bytes = encode(RequestSchema, create(RequestSchema, { request, minimumBlock }));
    for (let attempt = 1; ; attempt += 1)
      try {
        return await this.#inTurn(bytes);
      } catch (error) {
        // After a restart the ledger enclave has to follow the blocks again, which takes a while; others need not wait for it.
        if (!isBehind(error) || attempt >= attempts) throw error;
        await wait(waitMs * attempt);
      }
  }

  #inTurn(bytes: Uint8Array): Promise<Response> {
    const answered = this.#last.then(async () => {
      const response = decodeStrict(ResponseSchema, await this.#request(bytes));
      this.#remember(response.blockNumber);
      return response;
    });
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  /** @throws EnclaveError REPLAY */
  #remember(block: bigint): void {
    if (block < this.#highestBlock)
      throw new EnclaveError(
        "REPLAY",
        `the ledger enclave is at block ${block}, and was at ${this.#highestBlock} before`,
      );
    this.#highestBlock = block;
  }

  /** Once more over a new session where the old one is gone, as after a restart of the ledger enclave. */
  async #request(bytes: Uint8Array): Promise<Uint8Array> {
    for (let again = false; ; again = true)
      try {
        this.#session ??= await RequesterSession.open((message) => this.#carry(message), this.#settings);
        return await this.#session.request(bytes);
      } catch (error) {
        this.#session = undefined;
        if (!(error instanceof SessionLost)) throw error;
        if (again) throw error.reason;
      }
  }

  async #carry(message: Uint8Array): Promise<Uint8Array> {
    const [answer] = await this.#exchange({ kind: "session", message });
    if (answer === undefined) throw new EnclaveError("LEDGER_UNAVAILABLE", "the ledger enclave does not answer");
    return answer;
  }
}

type Question = NonNullable<Exclude<MessageInitShape<typeof RequestSchema>, Request>["request"]>;

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function isBehind(error: unknown): boolean {
  return error instanceof EnclaveError && (error.code === "REPLAY" || error.code === "LEDGER_UNAVAILABLE");
}

function anotherAnswer(): EnclaveError {
  return new EnclaveError("MALFORMED", "the ledger enclave answers something else than was asked");
}
