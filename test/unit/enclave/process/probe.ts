import assert from "node:assert/strict";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { InvocationHandler } from "../../../../src/enclave/process/invocation.ts";
import { decryptState, encryptState, generationOfState } from "../../../../src/enclave/protocol/state-encryption.ts";
import type { Stub } from "../../../../src/enclave/stub/stub.ts";
import { chaincodeId } from "./world.ts";

const stateName = { chaincodeId, key: "probe" };
const [toEncrypt, toDecrypt] = [1, 2];

/** In the place of a chaincode: one value of private state, written under the active generation or read under any that is held. */
export const probe: InvocationHandler = async ([part], keys) => {
  assert(part);
  const value = part.subarray(1);
  if (part[0] === toEncrypt) return [encryptState(await keys.active(), stateName, value)];
  const generation = keys.held.find(({ number }) => number === generationOfState(value));
  if (generation === undefined) throw new EnclaveError("NOT_PROVISIONED", "the value's generation is not held");
  return [decryptState(generation, stateName, value)];
};

/** A value of private state, by an enclave that runs {@link probe}. */
export function encryptIn(stub: Stub, text: string): Promise<Buffer> {
  return ask(stub, toEncrypt, Buffer.from(text));
}

export async function decryptIn(stub: Stub, value: Uint8Array): Promise<string> {
  return (await ask(stub, toDecrypt, value)).toString();
}

function ask(stub: Stub, verb: number, value: Uint8Array): Promise<Buffer> {
  const nothing = () => Promise.reject(new Error("a probe asks its host for nothing"));
  return stub.invoke(Buffer.concat([Buffer.of(verb), value]), nothing);
}
