import { publicKeyOf } from "../../crypto/curve.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity } from "./ec-identity.ts";
import type { KeyFormat } from "./format.ts";

const hexCharacters = 64;

/** geth's `nodekey`: 64 hex characters of a secp256k1 scalar, then at most one line end (`crypto.LoadECDSA`). */
export const nodekeyHex: KeyFormat = {
  name: "nodekey-hex",
  writtenBy: "geth, GoQuorum, Besu, EthereumJS: node and account keys in hexadecimal",
  detected: true,
  readPublicIdentity(file) {
    using scalar = file.expose(decodeScalar);
    try {
      return ecIdentity("secp256k1", publicKeyOf("secp256k1", scalar));
    } catch (cause) {
      throw new NodeError("KEY_FILE_INVALID", "the hexadecimal key is out of the range of secp256k1", { cause });
    }
  },
};

/** Decodes without making a string of the key. */
function decodeScalar(text: Buffer): SecretBuffer {
  const end = text.length === hexCharacters + 1 && text[hexCharacters] === 0x0a ? hexCharacters : text.length;
  const crlf = text.length === hexCharacters + 2 && text[hexCharacters] === 0x0d && text[hexCharacters + 1] === 0x0a;
  if ((crlf ? hexCharacters : end) !== hexCharacters) throw malformed();
  const scalar = Buffer.alloc(hexCharacters / 2);
  for (let at = 0; at < hexCharacters; at += 2) {
    const high = nibble(text[at]);
    const low = nibble(text[at + 1]);
    if (high === undefined || low === undefined) {
      scalar.fill(0);
      throw malformed();
    }
    scalar[at >> 1] = (high << 4) | low;
  }
  return SecretBuffer.take(scalar);
}

function nibble(character = 0): number | undefined {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const lower = character | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : undefined;
}

function malformed(): NodeError {
  return new NodeError("KEY_FILE_INVALID", "the file is not 64 hexadecimal characters with at most one line end");
}
