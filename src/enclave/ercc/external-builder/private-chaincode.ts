import { join } from "node:path";
import { z } from "zod";
import { readForm } from "./package-form.ts";

/** The type of packages of private chaincode that the peer itself starts, with its enclave's agent, on its own host. */
export const privateChaincodeType = "strongroom-fpc";
/** In such a package. */
export const privateChaincodeFile = "private-chaincode.json";
/** What the peer tells a chaincode that it starts, in the folder that it gives `run`; names are Fabric's. */
const runFile = "chaincode.json";

const packageForm = z.strictObject({
  /** Under which it is defined on the channel. */
  chaincode: z.string().regex(/^[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*$/, "is no name of a chaincode"),
  /** ERCC's name on the channel. */
  registry: z.string().min(1).default("ercc"),
});
export type PrivateChaincode = z.output<typeof packageForm>;

/** Not strict: later peers may tell more. Without TLS the last three are empty. */
const runForm = z.object({
  chaincode_id: z.string().min(1),
  peer_address: z.string().regex(/^(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):[1-9][0-9]{0,4}$/, "is not host:port"),
  mspid: z.string().min(1),
  client_cert: z.string().default(""),
  client_key: z.string().default(""),
  root_cert: z.string().default(""),
});
export type RunMetadata = z.output<typeof runForm>;

/** @throws EnclaveError MALFORMED, NOT_FOUND */
export function readPrivateChaincode(folder: string): Promise<PrivateChaincode> {
  return readForm(join(folder, privateChaincodeFile), packageForm);
}

/** @throws EnclaveError MALFORMED, NOT_FOUND */
export function readRunMetadata(folder: string): Promise<RunMetadata> {
  return readForm(join(folder, runFile), runForm);
}
