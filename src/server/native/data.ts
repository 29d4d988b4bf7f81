import type { WrappedKey } from "../../custody/contract/data-keys.ts";
import { type Endpoint, endpoint, endpointForSecret, endpointOfSecret } from "./endpoint.ts";
import { InputError } from "./failures.ts";

/**
 * Data keys. A plaintext never is a JavaScript string here: `wrap` takes it as raw bytes, `unwrap` gives it as raw bytes,
 * and a generated key is answered wrapped only.
 */
export const dataEndpoints: readonly Endpoint[] = [
  endpoint("generateDataKey", async ({ custody, caller }, input) =>
    inBase64(await custody.data.generateDataKeyWithoutPlaintext(caller, input)),
  ),
  endpointOfSecret("wrap", async ({ custody, caller }, input, plaintext) =>
    inBase64(await custody.data.wrap(caller, { ...input, plaintext })),
  ),
  endpointForSecret("unwrap", async ({ custody, caller }, { wrapped, ...input }) => {
    const { keyId, keyVersion, plaintext } = await custody.data.unwrap(caller, {
      ...input,
      wrapped: bytesOf(wrapped, "wrapped"),
    });
    return { keyId, keyVersion, secret: plaintext };
  }),
  endpoint("rewrap", async ({ custody, caller }, { wrapped, ...input }) =>
    inBase64(await custody.data.rewrap(caller, { ...input, wrapped: bytesOf(wrapped, "wrapped") })),
  ),
];

function inBase64({ keyId, keyVersion, wrapped }: WrappedKey): { keyId: string; keyVersion: number; wrapped: string } {
  return { keyId, keyVersion, wrapped: wrapped.toString("base64") };
}

/** @throws {InputError} For base64 that is not canonical: unused bits that are set, padding that is missing. */
export function bytesOf(base64: string, path: string): Buffer {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length === 0 || bytes.toString("base64") !== base64) throw new InputError(path, "not canonical base64");
  return bytes;
}
