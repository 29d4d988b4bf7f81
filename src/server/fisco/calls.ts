import { randomUUID } from "node:crypto";
import {
  decryptionFailures,
  encodeHexBytes,
  type FiscoCall,
  type FiscoMode,
  type JsonText,
  readHexParameter,
  writeError,
  writeGreeting,
  writeResult,
} from "../../client/fisco-json-rpc.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { principalArn } from "../../custody/arn.ts";
import { CustodyError, type CustodyErrorCode } from "../../custody/errors.ts";
import type { Caller, CustodyService } from "../../custody/service.ts";
import { ByLastUse } from "../by-last-use.ts";
import { FailureLimit, type FailureLimitOptions } from "./failure-limit.ts";

/** What the door needs of custody. */
export type FiscoCustody = Pick<CustodyService, "identity" | "legacy" | "countRefusal">;

export interface FiscoCallOptions {
  readonly mode: FiscoMode;
  /** Lent for as long as calls are answered. */
  readonly superKey: SecretBuffer;
  /** Whether `encDataKey` and `encWithCipherKey` are answered on the wire; they are an operator's. */
  readonly operatorCalls: boolean;
  /** ARN that `decDataKey` is asked under, since peers have no identity. @defaultValue the service `fisco-door` */
  readonly principal?: string;
  /** ARN that an operator's calls are made under. @defaultValue the local administrator */
  readonly operatorPrincipal?: string;
  readonly failureLimit?: FailureLimitOptions;
  /** Told of failures that are the server's own, for its log. */
  readonly onFault?: (error: unknown) => void;
}

/** Name of the service that the door acts as towards custody. */
export const fiscoDoorPrincipal = "fisco-door";

const maxRemembered = 4096;
/** Codes that mean "this may not be decrypted": all look like a failed decryption to the peer. */
const refusals = new Set<CustodyErrorCode>(["LEGACY_REFUSED", "ACCESS_DENIED", "INPUT_INVALID"]);

/** Answers FISCO's calls through custody: it decides what may be decrypted, before any cipher runs, and records each use. */
export class FiscoCalls {
  readonly #custody: FiscoCustody;
  readonly #options: FiscoCallOptions;
  readonly #failures: FailureLimit;
  readonly #principal: string;
  readonly #operator: string;
  /** cipherDataKeys (not secret) that opened: those pass even when others on the same host have used up the failures. */
  readonly #opened = new ByLastUse<true>();

  constructor(custody: FiscoCustody, options: FiscoCallOptions) {
    this.#custody = custody;
    this.#options = options;
    this.#failures = new FailureLimit(options.failureLimit);
    this.#principal = options.principal ?? principalArn(custody.identity, "service", fiscoDoorPrincipal);
    this.#operator = options.operatorPrincipal ?? custody.identity.localAdministrator;
  }

  /** One call's answer; the caller wipes it, and the call's parameters. Never rejects. */
  async answer(call: FiscoCall, peer: string): Promise<Buffer> {
    if (call.method === null) return writeError(call.id, call.error);
    const [first, second] = call.params;
    if (first === undefined) return writeError(call.id, "invalidParams");
    try {
      if (call.method === "sayHello") return writeGreeting(call.id, first);
      if (call.method === "decDataKey") return await this.#decrypt(call.id, first, peer);
      if (!this.#options.operatorCalls) return this.#operatorsOnly(call.id, call.method, peer);
      if (call.method === "encDataKey") return await this.#encryptDataKey(call.id, first, peer);
      return await this.#encryptFile(call.id, first, second ?? Buffer.alloc(0), peer);
    } catch (error) {
      return writeResult(call.id, "", 1, this.#explain(error));
    }
  }

  async #decrypt(id: JsonText, text: Buffer, peer: string): Promise<Buffer> {
    const cipherDataKey = readHexParameter(text);
    const refused = this.#refusedBeforeCustody(id, cipherDataKey, peer);
    if (refused !== undefined) return refused;
    const { mode, superKey } = this.#options;
    try {
      using dataKey = await this.#custody.legacy.decryptDataKey(this.#caller(this.#principal, peer), {
        mode,
        superKey,
        cipherDataKey,
      });
      this.#remember(cipherDataKey);
      const hex = dataKey.expose(encodeHexBytes);
      const answer = writeResult(id, hex, 0, "success");
      hex.fill(0);
      return answer;
    } catch (error) {
      return this.#decryptionFailed(id, cipherDataKey, peer, error);
    }
  }

  async #encryptDataKey(id: JsonText, text: Buffer, peer: string): Promise<Buffer> {
    using dataKey = SecretBuffer.copyOf(text);
    const { mode, superKey } = this.#options;
    const input = { mode, superKey, dataKey };
    return writeResult(
      id,
      await this.#custody.legacy.encryptDataKey(this.#caller(this.#operator, peer), input),
      0,
      "success",
    );
  }

  async #encryptFile(id: JsonText, file: Buffer, key: Buffer, peer: string): Promise<Buffer> {
    const cipherDataKey = readHexParameter(key);
    const refused = this.#refusedBeforeCustody(id, cipherDataKey, peer);
    if (refused !== undefined) return refused;
    using text = SecretBuffer.copyOf(file);
    const { mode, superKey } = this.#options;
    try {
      const input = { mode, superKey, cipherDataKey, text };
      return writeResult(
        id,
        await this.#custody.legacy.encryptKeyFile(this.#caller(this.#operator, peer), input),
        0,
        "success",
      );
    } catch (error) {
      return this.#decryptionFailed(id, cipherDataKey, peer, error);
    }
  }

  /** What needs no key to be refused: text that is no whole cipher blocks, and peers that have failed too often. */
  #refusedBeforeCustody(id: JsonText, cipherDataKey: string, peer: string): Buffer | undefined {
    const failures = decryptionFailures[this.#options.mode];
    if (cipherDataKey.length === 0 || cipherDataKey.length % 32 !== 0) {
      this.#custody.countRefusal("fisco", peer, "cipherDataKey is not whole cipher blocks of hex");
      return writeResult(id, "", 1, failures.length);
    }
    if (!this.#failures.exhausted(peer) || this.#opened.use(cipherDataKey)) return undefined;
    this.#custody.countRefusal("fisco", peer, "too many failures");
    return writeResult(id, "", 1, failures.padding);
  }

  #decryptionFailed(id: JsonText, cipherDataKey: string, peer: string, error: unknown): Buffer {
    if (!isRefusal(error)) throw error;
    this.#failures.countFailure(peer);
    this.#opened.delete(cipherDataKey);
    return writeResult(id, "", 1, decryptionFailures[this.#options.mode].padding);
  }

  #operatorsOnly(id: JsonText, method: string, peer: string): Buffer {
    this.#custody.countRefusal("fisco", peer, `${method} is for operators`);
    const command = method === "encDataKey" ? "encrypt-data-key" : "encrypt-key-file";
    return writeResult(id, "", 1, `strongroom: ${method} is for operators, who run: strongroom legacy ${command}`);
  }

  #remember(cipherDataKey: string): void {
    if (this.#opened.use(cipherDataKey)) return;
    this.#opened.set(cipherDataKey, true);
    if (this.#opened.size > maxRemembered) this.#opened.deleteOldest();
  }

  #explain(error: unknown): string {
    if (error instanceof CustodyError) return `strongroom: ${error.message}`;
    this.#options.onFault?.(error);
    return "strongroom: the key manager could not answer; its log says why";
  }

  #caller(principal: string, peer: string): Caller {
    return { principal, door: "fisco", peer, requestId: randomUUID() };
  }
}

function isRefusal(error: unknown): boolean {
  if (error instanceof CustodyError) return refusals.has(error.code);
  return error instanceof CryptoError && error.code === "LEGACY_REFUSED";
}
