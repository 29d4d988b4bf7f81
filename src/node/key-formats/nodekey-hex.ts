import { generateKeyPair, publicKeyOf } from "../../crypto/curve.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity } from "./ec-identity.ts";
import type { GeneratedKey, KeyFormat } from "./format.ts";
import { decodeHex, encodeHex } from "./hex-bytes.ts";

const hexCharacters = 64;
const maxLineEnds = 2;

/** geth's `nodekey`: 64 hex characters of a secp256k1 scalar, then at most two of LF and CR (`crypto.LoadECDSA`). */
export const nodekeyHex: KeyFormat = {
  name: "nodekey-hex",
  writtenBy: "geth, GoQuorum, Besu, EthereumJS: node and account keys in hexadecimal",
  owners: ["geth", "goquorum", "besu", "ethereumjs"],
  detected: true,
  readPublicIdentity(file) {
    using scalar = readNodekey(file);
    try {
      return ecIdentity("secp256k1", publicKeyOf("secp256k1", scalar));
    } catch (cause) {
      throw new NodeError("KEY_FILE_INVALID", "the hexadecimal key is out of the range of secp256k1", { cause });
    }
  },
};

/** The 32 bytes of a `nodekey` file, without making a string of them. @throws {NodeError} `KEY_FILE_INVALID`. */
export function readNodekey(file: SecretBuffer): SecretBuffer {
  const scalar = file.expose((text) => {
    const rest = text.subarray(hexCharacters);
    if (text.length < hexCharacters || rest.length > maxLineEnds) return undefined;
    if (rest.some((byte) => byte !== 0x0a && byte !== 0x0d)) return undefined;
    return decodeHex(text.subarray(0, hexCharacters));
  });
  if (scalar !== undefined) return SecretBuffer.take(scalar);
  throw new NodeError("KEY_FILE_INVALID", "the file is not 64 hexadecimal characters with at most two line ends");
}

/** A `nodekey` file as geth writes it: 64 lower-case hex characters and nothing else. The caller disposes of it. */
export function writeNodekey(scalar: SecretBuffer): SecretBuffer {
  return SecretBuffer.take(scalar.expose(encodeHex));
}

/** A fresh node key of geth, GoQuorum or EthereumJS. */
export function generateNodekey(): GeneratedKey {
  const { scalar, publicKey } = generateKeyPair("secp256k1");
  using _ = scalar;
  return {
    format: nodekeyHex.name,
    fileName: "nodekey",
    file: writeNodekey(scalar),
    identity: ecIdentity("secp256k1", publicKey),
  };
}
