import { encodeBase64 } from "../../crypto/base64.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";

const lineCharacters = 64;

/** PEM text (RFC 7468) of DER bytes, as OpenSSL writes it. The caller disposes of it; `der` stays the caller's to wipe. */
export function pemOf(label: string, der: Uint8Array): SecretBuffer {
  const base64 = encodeBase64(der);
  const parts: Buffer[] = [Buffer.from(`-----BEGIN ${label}-----\n`)];
  for (let at = 0; at < base64.length; at += lineCharacters)
    parts.push(base64.subarray(at, at + lineCharacters), Buffer.from("\n"));
  parts.push(Buffer.from(`-----END ${label}-----\n`));
  const text = Buffer.concat(parts);
  base64.fill(0);
  return SecretBuffer.take(text);
}
