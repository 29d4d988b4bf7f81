import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Calls that clients of the channel have made of an enclave: as many as they like, at the same time. All others are steps of the
 * organisation's own admin, which clients must not keep out.
 */
const clientCalls: readonly string[] = ["invoke", "release"];
const underWay = new AsyncLocalStorage<true>();

/** @param name - Of a call of the host's agent to the enclave. */
export function isClientCall(name: string): boolean {
  return clientCalls.includes(name);
}

/** Runs a client's call in the enclave: whatever it asks of the host meanwhile is asked for the client. */
export function forClient<T>(run: () => Promise<T>): Promise<T> {
  return underWay.run(true, run);
}

/** Whether what runs now runs within {@link forClient}. */
export function isForClient(): boolean {
  return underWay.getStore() === true;
}
