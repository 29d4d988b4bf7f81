import { createHash, createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { StoredRecord } from "../../custody/contract/audit.ts";
import { type ForwardTarget, RecordRefused } from "./target.ts";

export interface WebhookOptions {
  readonly url: string;
  /** Shared with the receiver, at least 16 bytes. Lent for the call. */
  readonly secret: SecretBuffer;
  /** How long one request may take. @defaultValue 10 000 */
  readonly timeoutMs?: number;
  /** Unix milliseconds. @defaultValue `Date.now` */
  readonly clock?: () => number;
}

const defaultTimeoutMs = 10_000;
const minSecretBytes = 16;
const tooLarge = 413;

/**
 * A receiver of HTTP requests: each a batch of stored records, one JSON line each (`application/x-ndjson`), with
 *
 *     strongroom-records:   FIRST-LAST, the batch's sequence numbers
 *     strongroom-signature: t=SECONDS,v1=HEX, where HEX = HMAC-SHA256(secret, SECONDS ‖ "." ‖ body)
 *
 * Any 2xx answer takes the batch. A batch that is not answered so is sent again: the receiver tells by `sequence`.
 */
export class WebhookTarget implements ForwardTarget {
  readonly id: string;
  readonly label: string;
  readonly #url: URL;
  readonly #secret: KeyObject;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #timeoutMs: number;
  readonly #clock: () => number;
  /** The receiver's own limit, once it has said 413. */
  #mostRecords = Number.POSITIVE_INFINITY;

  /** @throws {RangeError} For an address that is not https (or http on loopback), and for a short secret. */
  constructor(options: WebhookOptions) {
    this.#url = parseWebhookUrl(options.url);
    this.id = createHash("sha256").update(`webhook ${this.#url.href}`).digest("hex").slice(0, 16);
    // Paths of webhooks are often secrets themselves.
    this.label = `webhook ${this.#url.origin}`;
    if (options.secret.byteLength < minSecretBytes)
      throw new RangeError(`a webhook's secret has at least ${minSecretBytes} bytes`);
    this.#secret = options.secret.expose((bytes) => createSecretKey(bytes));
    const kept = { keepAlive: true, maxSockets: 1 };
    this.#agent = this.#url.protocol === "https:" ? new HttpsAgent(kept) : new HttpAgent(kept);
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.#clock = options.clock ?? Date.now;
  }

  async send(records: readonly StoredRecord[], signal: AbortSignal): Promise<number> {
    const some = records.slice(0, Math.min(records.length, this.#mostRecords));
    const status = await this.#post(some, signal);
    if (status >= 200 && status < 300) return some.length;
    if (status !== tooLarge) throw new Error(`it answered ${status}`);
    if (some.length === 1) throw new RecordRefused("the receiver calls the record too large");
    this.#mostRecords = Math.ceil(some.length / 2);
    return await this.send(some, signal);
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(records: readonly StoredRecord[], signal: AbortSignal): Promise<number> {
    const body = Buffer.from(records.map(({ text }) => `${text}\n`).join(""), "latin1");
    const seconds = Math.floor(this.#clock() / 1000);
    const signature = createHmac("sha256", this.#secret).update(`${seconds}.`).update(body).digest("hex");
    const options = {
      method: "POST",
      agent: this.#agent,
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]),
      headers: {
        "content-type": "application/x-ndjson",
        "content-length": body.length,
        "user-agent": "strongroom",
        "strongroom-records": `${records[0]?.sequence}-${records.at(-1)?.sequence}`,
        "strongroom-signature": `t=${seconds},v1=${signature}`,
      },
    };
    return new Promise((resolve, reject) => {
      const answered = (response: IncomingMessage) => {
        response.on("error", reject);
        // What it says is not kept, but has to be read for the connection to be kept.
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.on("close", () => reject(new Error("the answer broke off")));
      };
      const send = this.#url.protocol === "https:" ? httpsRequest : httpRequest;
      send(this.#url, options, answered).on("error", reject).end(body);
    });
  }
}

/**
 * `https:`, or `http:` on loopback; without credentials, which would be on a command line.
 *
 * @throws {RangeError} Which does not repeat the address: its path may be a secret.
 */
export function parseWebhookUrl(text: string): URL {
  const url = URL.parse(text);
  const loopback = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(url?.hostname ?? "");
  if (url === null || !(url.protocol === "https:" || (url.protocol === "http:" && loopback)))
    throw new RangeError("a webhook is an https: address, or http: on this machine's loopback");
  if (url.username !== "" || url.password !== "" || url.hash !== "")
    throw new RangeError("a webhook's address has no user, no password and no fragment");
  return url;
}
