import { hash } from "node:crypto";

/**
 * Keccak-256 with the original padding byte 0x01, as Ethereum and FISCO BCOS use it: not FIPS 202 SHA3-256, whose
 * padding byte is 0x06. 32 bytes.
 */
export function keccak256(bytes: Uint8Array): Buffer {
  return hash("keccak-256", bytes, "buffer");
}
