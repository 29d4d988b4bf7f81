import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import type { GeneratedKey, KeyFormat } from "./format.ts";
import { encodeHex } from "./hex-bytes.ts";

const maxPasswordFileBytes = 65_536;
const maxPasswords = 1024;
const generatedPasswordBytes = 32;

/**
 * Passwords, one a line: geth uses the first, GoQuorum the n-th for the n-th unlocked account. Any text is one, so the
 * format must be named. A password has no public half.
 */
export const passwordFile: KeyFormat = {
  name: "password-file",
  writtenBy: "geth --password, GoQuorum, Tessera passwordFile, Constellation --passwords",
  owners: ["geth", "goquorum", "besu", "constellation", "tessera"],
  detected: false,
  readPublicIdentity(file) {
    for (const password of readPasswords(file)) password[Symbol.dispose]();
    return { algorithm: "none" };
  },
};

/**
 * The passwords of a file, in order: split at LF, CRs at a line's end dropped, spaces kept. The LF at the end of the file
 * does not begin another password. The caller disposes of each.
 *
 * @throws {NodeError} `KEY_FILE_INVALID` for an empty file, a NUL byte, or more than 65,536 bytes or 1,024 lines.
 */
export function readPasswords(file: SecretBuffer): SecretBuffer[] {
  return file.expose((text) => {
    if (text.length === 0 || text.length > maxPasswordFileBytes || text.includes(0)) throw malformed();
    const spans: Buffer[] = [];
    for (let start = 0; start < text.length; ) {
      const lineEnd = text.indexOf(0x0a, start);
      let end = lineEnd === -1 ? text.length : lineEnd;
      const next = end + 1;
      while (end > start && text[end - 1] === 0x0d) end -= 1;
      spans.push(text.subarray(start, end));
      if (spans.length > maxPasswords) throw malformed();
      start = next;
    }
    return spans.map((span) => SecretBuffer.copyOf(span));
  });
}

/** A password file of one fresh password: 64 hex characters and LF. */
export function generatePasswordFile(): GeneratedKey {
  using password = SecretBuffer.random(generatedPasswordBytes);
  const file = password.expose((bytes) => {
    const text = encodeHex(bytes);
    const line = Buffer.concat([text, Buffer.from("\n")]);
    text.fill(0);
    return line;
  });
  return {
    format: passwordFile.name,
    fileName: "password",
    file: SecretBuffer.take(file),
    identity: { algorithm: "none" },
  };
}

function malformed(): NodeError {
  return new NodeError(
    "KEY_FILE_INVALID",
    `the file is not 1 to ${maxPasswords} lines of passwords in at most ${maxPasswordFileBytes} bytes without NUL`,
  );
}
