import { createPrivateKey } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { SealedEnclaveSchema } from "../../../../src/enclave/messages/generated/fpc/sealed_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";

/** Names and bytes of what has to be nowhere. Each is long enough that it is nowhere by chance: 16 bytes of SEK, more of all else. */
export type Needles = Map<string, Buffer>;

/** Adds the keys of an enclave, in the forms in which programs hold them. @param state - Bytes of SealedEnclave, unsealed */
export function addNeedles(needles: Needles, state: Uint8Array, whose = ""): void {
  const { enclaveSk, enclaveDk, generations } = decodeStrict(SealedEnclaveSchema, state);
  const add = (what: string, pem: Uint8Array) => {
    const name = `${whose}${what}`;
    const text = Buffer.from(pem).toString();
    // Of SEC1 the private number comes first and the public point after it; of PKCS#1 the private ones are in the middle.
    const lines = text.split("\n");
    needles.set(`${name} as PEM`, Buffer.from(lines[text.includes(" EC ") ? 1 : Math.floor(lines.length / 2)] ?? ""));
    const jwk = createPrivateKey(text).export({ format: "jwk" });
    for (const part of ["d", "p", "q"] as const) {
      const value = jwk[part];
      if (value === undefined) continue;
      const bytes = Buffer.from(value, "base64url");
      needles.set(`${name}.${part}`, bytes.subarray(0, 32));
      // As OpenSSL holds numbers on this processor.
      needles.set(`${name}.${part} reversed`, Buffer.from(bytes).reverse().subarray(0, 32));
    }
  };
  add("Enclave_SK", enclaveSk);
  add("Enclave_DK", enclaveDk);
  for (const { number, stateEncryptionKey, chaincodeDk } of generations) {
    const name = number === 1n ? "" : ` ${number}`;
    const sek = Buffer.from(stateEncryptionKey);
    needles.set(`${whose}SEK${name}`, sek);
    needles.set(`${whose}SEK${name} in hexadecimal`, Buffer.from(sek.toString("hex")));
    needles.set(`${whose}SEK${name} in base64`, Buffer.from(sek.toString("base64").slice(0, 21)));
    add(`Chaincode_DK${name}`, chaincodeDk);
  }
}

/** Names of the needles that lie in a process's memory. */
export function foundInMemory(pid: number, needles: Needles): Set<string> {
  const found = new Set<string>();
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const chunk = Buffer.alloc(4 << 20);
  const overlap = 128;
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const range = /^([0-9a-f]+)-([0-9a-f]+) r(?:w\S+|\S+ \S+ \S+ 0) /.exec(line);
      // What is only read and comes out of a file (an inode other than 0) holds what that file holds.
      if (!range?.[1] || !range[2] || /\[v(?:var|syscall)/.test(line)) continue;
      const end = BigInt(`0x${range[2]}`);
      for (let at = BigInt(`0x${range[1]}`); at < end; at += BigInt(chunk.length - overlap)) {
        const wanted = Number(end - at > BigInt(chunk.length) ? BigInt(chunk.length) : end - at);
        let read = 0;
        try {
          read = readSync(memory, chunk, 0, wanted, at);
        } catch {
          // Pages that are there by name only.
        }
        for (const [name, needle] of needles) if (chunk.subarray(0, read).includes(needle)) found.add(name);
      }
    }
  } finally {
    closeSync(memory);
  }
  return found;
}
