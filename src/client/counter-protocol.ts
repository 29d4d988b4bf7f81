import { z } from "zod";
import { name as nodeName, time } from "./protocol-shapes.ts";

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._:/-]{0,127}$/, "1 to 128 small letters, digits or ._:/- beginning with a letter or digit");
const value = z.int().min(1);
const stamp = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "64 hex digits in small letters")
  .meta({ description: "the caller's digest of the state that the value stands for" });
const standing = z.strictObject({ value, stamp });
const described = { value, stamp, advancedAt: time };

/** The wire contract of a node's counters; a part of ./protocol.ts. */
export const counterProtocol = {
  "counters.advance": {
    input: z.strictObject({ name, previous: standing.nullable(), next: standing }),
    answer: z.object({ value, stamp }),
  },
  "counters.read": {
    input: z.strictObject({ name }),
    answer: z.object({ counter: z.object(described).nullable() }),
  },
  "counters.list": {
    input: z.strictObject({ node: nodeName.exactOptional() }),
    answer: z.object({ counters: z.array(z.object({ node: z.string(), name: z.string(), ...described })) }),
  },
  "counters.reset": { input: z.strictObject({ node: nodeName, name }), answer: z.void() },
} as const;
