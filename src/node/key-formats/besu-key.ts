import { type CurveName, generateKeyPair, publicKeyOf } from "../../crypto/curve.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity } from "./ec-identity.ts";
import type { GeneratedKey, KeyFormat } from "./format.ts";
import { decodeHex, encodeHex } from "./hex-bytes.ts";

const hexCharacters = 64;
const prefix = Buffer.from("0x");

/** The curves that Besu's genesis file can name. */
export type BesuCurve = Extract<CurveName, "secp256k1" | "p256">;

/**
 * Besu's node key: exactly one line of 64 hex characters, with `0x` or without, which may end in LF, CR or CR LF
 * (`KeyPairUtil.loadKeyPair`). Without `0x` it is also a `nodekey-hex` of the same key, as which it is detected.
 */
export const besuKey: KeyFormat = besuFormat("besu-key", "secp256k1", startsWithPrefix);

/** The same on P-256 (`ecCurve: secp256r1` in the genesis file). Nothing in the file tells the curve. */
export const besuKeyR1: KeyFormat = besuFormat("besu-key-r1", "p256", false);

/** The 32 bytes of a Besu key file. @throws {NodeError} `KEY_FILE_INVALID`. */
export function readBesuKey(file: SecretBuffer): SecretBuffer {
  const scalar = file.expose((text) => {
    const from = text.subarray(0, prefix.length).equals(prefix) ? prefix.length : 0;
    const end = text.subarray(from + hexCharacters);
    const oneLine = end.length === 0 || end.equals(Buffer.of(10)) || end.equals(Buffer.of(13));
    if (!oneLine && !end.equals(Buffer.of(13, 10))) return undefined;
    const digits = text.subarray(from, from + hexCharacters);
    return digits.length === hexCharacters ? decodeHex(digits) : undefined;
  });
  if (scalar !== undefined) return SecretBuffer.take(scalar);
  throw new NodeError("KEY_FILE_INVALID", "the file is not one line of 64 hexadecimal characters, with or without 0x");
}

/** A Besu key file as Besu writes it: `0x` and 64 lower-case hex characters. The caller disposes of it. */
export function writeBesuKey(scalar: SecretBuffer): SecretBuffer {
  return SecretBuffer.take(
    scalar.expose((bytes) => {
      const digits = encodeHex(bytes);
      const text = Buffer.concat([prefix, digits]);
      digits.fill(0);
      return text;
    }),
  );
}

/** A fresh node key of Besu. */
export function generateBesuKey(curve: BesuCurve = "secp256k1"): GeneratedKey {
  const { scalar, publicKey } = generateKeyPair(curve);
  using _ = scalar;
  const { name } = curve === "p256" ? besuKeyR1 : besuKey;
  return { format: name, fileName: "key", file: writeBesuKey(scalar), identity: ecIdentity(curve, publicKey) };
}

function besuFormat(name: string, curve: BesuCurve, detected: KeyFormat["detected"]): KeyFormat {
  return {
    name,
    writtenBy: curve === "p256" ? "Besu on a secp256r1 chain: the node key" : "Besu: the node key, 0x or not",
    owners: ["besu"],
    detected,
    readPublicIdentity(file) {
      using scalar = readBesuKey(file);
      try {
        return ecIdentity(curve, publicKeyOf(curve, scalar));
      } catch (cause) {
        throw new NodeError("KEY_FILE_INVALID", `the hexadecimal key is out of the range of ${curve}`, { cause });
      }
    },
  };
}

function startsWithPrefix(file: SecretBuffer): boolean {
  return file.expose((text) => text.subarray(0, prefix.length).equals(prefix));
}
