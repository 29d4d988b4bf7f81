import { createHash, createHmac } from "node:crypto";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** What is signed of a request; the SDK's own type has more. */
export interface SignableRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: unknown;
  headers: Record<string, string>;
  readonly body?: unknown;
}

const service = "kms";
const algorithm = "AWS4-HMAC-SHA256";

/**
 * Signature Version 4 for the requests of AWS's JSON protocol: `POST /`, no query, the body in one piece. It stands in for
 * the SDK's signer, which holds the secret as a string for as long as the client lives: here it stays in its buffer, and
 * every key derived from it is wiped.
 */
export class RequestSigner {
  readonly #apiKey: string;
  readonly #region: string;
  readonly #secret: SecretBuffer;

  /** @param secret - The secret access key; lent for as long as the signer is used. */
  constructor(apiKey: string, region: string, secret: SecretBuffer) {
    this.#apiKey = apiKey;
    this.#region = region;
    this.#secret = secret;
  }

  /** Signs `request` in place. `signingDate` is the SDK's idea of the KMS's time. */
  sign<R extends SignableRequest>(
    request: R,
    { signingDate = new Date() }: { readonly signingDate?: Date | string | number } = {},
  ): Promise<R> {
    const { method, path, query, body } = request;
    if (method !== "POST" || path !== "/" || Object.keys(query ?? {}).length > 0)
      throw new TypeError(`only POST / without a query is signed, not ${method} ${path}`);
    if (typeof body !== "string" && !(body instanceof Uint8Array)) throw new TypeError("only a whole body is signed");
    const time = `${new Date(signingDate).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
    const payload = sha256(body);
    const headers: Record<string, string> = { ...request.headers, "x-amz-date": time, "x-amz-content-sha256": payload };
    delete headers.authorization;
    // What a proxy on the way may change stays out (Signature Version 4 asks for host and x-amz-* at least).
    const signed = Object.keys(headers)
      .filter((name) => /^(?:host|content-type|x-amz-.+)$/.test(name))
      .sort();
    const canonical = [
      method,
      path,
      "",
      ...signed.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}`),
      "",
      signed.join(";"),
      payload,
    ].join("\n");
    const scope = [time.slice(0, 8), this.#region, service, "aws4_request"];
    const signature = this.#signature(scope, [algorithm, time, scope.join("/"), sha256(canonical)].join("\n"));
    headers.authorization = `${algorithm} Credential=${[this.#apiKey, ...scope].join("/")}, SignedHeaders=${signed.join(";")}, Signature=${signature}`;
    request.headers = headers;
    return Promise.resolve(request);
  }

  #signature(scope: readonly string[], toSign: string): string {
    let key = this.#secret.expose((bytes) => {
      const first = Buffer.allocUnsafeSlow(4 + bytes.length);
      first.write("AWS4");
      first.set(bytes, 4);
      return first;
    });
    for (const part of scope) {
      const next = createHmac("sha256", key).update(part).digest();
      key.fill(0);
      key = next;
    }
    const signature = createHmac("sha256", key).update(toSign).digest("hex");
    key.fill(0);
    return signature;
  }
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
