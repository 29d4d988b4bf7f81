import { z } from "zod";
import { name as nodeName, time } from "./protocol-shapes.ts";

const enclave = z.string().regex(/^[0-9A-F]{64}$/, "64 upper-case hex digits");
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$/, "1 to 249 letters, digits or ._- beginning with a letter or digit");
const measurement = z.string().regex(/^(?:[0-9A-F]{64}|[0-9A-F]{96})$/, "64 or 96 upper-case hex digits");
const report = {
  enclave,
  organisation: name,
  channel: name,
  chaincode: name,
  measurement,
  state: z.enum(["registered", "provisioned", "former", "revoked"]),
  generation: z.int().min(1).max(0xffff_ffff).nullable(),
};

/** The wire contract of what hosts tell of their enclaves; a part of ./protocol.ts. */
export const enclaveProtocol = {
  "enclaves.report": { input: z.strictObject(report), answer: z.void() },
  "enclaves.list": {
    input: z.strictObject({ node: nodeName.exactOptional() }),
    answer: z.object({
      enclaves: z.array(
        z.object({ node: z.string(), hostState: z.enum(["enabled", "revoked"]), ...report, reportedAt: time }),
      ),
    }),
  },
  "enclaves.forget": { input: z.strictObject({ node: nodeName, enclave }), answer: z.void() },
} as const;
