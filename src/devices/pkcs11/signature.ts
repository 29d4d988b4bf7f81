import { der, derTags, derUnsigned } from "../../crypto/der.ts";
import { curves, type EcdsaCurve } from "./curves.ts";

/**
 * The DER form (RFC 3279, ECDSA-Sig-Value) of a token's raw r ‖ s, with the lower of the two s that verify: Ethereum's chains
 * refuse the other.
 *
 * @returns Undefined unless `raw` is two numbers from 1 to the order less 1, each as long as the order.
 */
export function ecdsaSignatureOfRaw(curve: EcdsaCurve, raw: Uint8Array): Buffer | undefined {
  const { scalarBytes, order } = curves[curve];
  if (raw.length !== 2 * scalarBytes) return undefined;
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const r = numberOf(bytes.subarray(0, scalarBytes));
  const s = numberOf(bytes.subarray(scalarBytes));
  if (r === 0n || r >= order || s === 0n || s >= order) return undefined;
  const lowS =
    s > order >> 1n
      ? Buffer.from((order - s).toString(16).padStart(2 * scalarBytes, "0"), "hex")
      : bytes.subarray(scalarBytes);
  return der(derTags.sequence, derUnsigned(bytes.subarray(0, scalarBytes)), derUnsigned(lowS));
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}
