import { z } from "zod";

/** Bytes in a node's answer: 0x and lower-case hexadecimal, as the node writes them. */
export function hexBytes(mostBytes: number) {
  return z
    .string()
    .max(2 + 2 * mostBytes)
    .regex(/^0x(?:[0-9a-f]{2})*$/)
    .transform((text) => Buffer.from(text.slice(2), "hex"));
}

export const hash32 = hexBytes(32).refine((bytes) => bytes.length === 32);
export const height = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const view = z.number().int().min(0).max(0xffff_ffff);

/** Commit signatures of sealers over a block. Whose they are is not checked here. */
export const signatureList = z
  .array(z.strictObject({ sealerIndex: z.number().int().min(0).max(0xffff), signature: hexBytes(128) }))
  .max(64)
  .transform((list) => list.map(({ sealerIndex, signature }) => ({ sealer: sealerIndex, signature })));
