import type { Stub } from "./stub.ts";

/** What can be asked of an enclave's agent, wherever it runs: in this process, or as chaincode beside a peer. */
export type EnclaveAgent = Pick<Stub, Exclude<keyof Stub, "pid">>;
