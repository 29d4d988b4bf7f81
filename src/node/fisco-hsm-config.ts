import { readFileSync } from "node:fs";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { NodeError } from "./errors.ts";

/** Name of the key format of a PIN that FISCO BCOS's program finds in its config.ini only. */
export const fiscoHsmPinFormat = "fisco-hsm-pin";

const maxConfigBytes = 1024 * 1024;

/**
 * config.ini with the PIN of the cipher machine in `[security] password`, in memory only: FISCO BCOS's program takes the PIN
 * from nowhere else. A `password_file` line, which that program does not know, gives its place to it.
 *
 * @throws {NodeError} `FILE_UNUSABLE` when config.ini cannot be read, is over 1 MiB, or has no `[security]`.
 */
export function fiscoConfigWithPin(file: string, pin: SecretBuffer): SecretBuffer {
  let config: Buffer;
  try {
    config = readFileSync(file);
  } catch (cause) {
    throw new NodeError("FILE_UNUSABLE", `${file} cannot be read`, { cause });
  }
  try {
    if (config.length > maxConfigBytes) throw new NodeError("FILE_UNUSABLE", `${file} is over ${maxConfigBytes} bytes`);
    return withPin(file, config, pin);
  } finally {
    config.fill(0);
  }
}

function withPin(file: string, config: Buffer, pin: SecretBuffer): SecretBuffer {
  const parts: Buffer[] = [];
  let inSecurity = false;
  let headerEnd: number | undefined;
  for (let start = 0; start < config.length; ) {
    const lineEnd = config.indexOf(0x0a, start);
    const end = lineEnd === -1 ? config.length : lineEnd + 1;
    const line = config.subarray(start, end);
    start = end;
    // Only the beginning becomes text: what follows a password's "=" may be a secret.
    const head = line.subarray(0, 40).toString("latin1").trimStart();
    if (head.startsWith("[")) inSecurity = /^\[security\]\s*$/.test(head);
    if (inSecurity && /^password(?:_file)?\s*=/.test(head)) continue;
    parts.push(line);
    if (inSecurity && headerEnd === undefined) headerEnd = parts.length;
  }
  if (headerEnd === undefined)
    throw new NodeError(
      "FILE_UNUSABLE",
      `${file} has no [security], so there is no place for the cipher machine's PIN`,
    );
  const header = parts[headerEnd - 1];
  const lead = header?.at(-1) === 0x0a ? "password=" : "\npassword=";
  return pin.expose((bytes) => {
    const value = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
    const inserted = [Buffer.from(lead), value, Buffer.from("\n")];
    return SecretBuffer.take(Buffer.concat([...parts.slice(0, headerEnd), ...inserted, ...parts.slice(headerEnd)]));
  });
}
