import { parentPort, workerData } from "node:worker_threads";
import { CustodyError } from "../errors.ts";
import { type PackedChange, unpackChange } from "./packed-change.ts";
import { SqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

/** One call of the store, and its answer. Both cross the thread border as plain data. */
export interface StoreCall {
  readonly id: number;
  readonly method: keyof Store;
  readonly args: readonly unknown[];
  /** The second argument of `commit` is a {@link PackedChange}. */
  readonly packed?: boolean;
}

export interface StoreAnswer {
  readonly id: number;
  readonly value?: unknown;
  /** `code` is a custody code when the store named one. */
  readonly error?: { readonly message: string; readonly code?: string };
}

/** The thread's side: opens the store, then answers calls one after the other. */
function serve(port: NonNullable<typeof parentPort>, path: string): void {
  let store: SqliteStore;
  try {
    store = new SqliteStore(path);
    port.postMessage({ id: 0 } satisfies StoreAnswer);
  } catch (error) {
    port.postMessage({ id: 0, error: describe(error) } satisfies StoreAnswer);
    port.close();
    return;
  }
  port.on("message", ({ id, method, args, packed }: StoreCall) => {
    const call = store[method].bind(store) as (...all: unknown[]) => Promise<unknown>;
    const given = method === "commit" && packed ? [args[0], unpackChange(args[1] as PackedChange)] : args;
    new Promise((resolve) => resolve(call(...given))).then(
      (value) => {
        port.postMessage({ id, value } satisfies StoreAnswer);
        if (method === "close") port.close();
      },
      (error: unknown) => port.postMessage({ id, error: describe(error) } satisfies StoreAnswer),
    );
  });
}

function describe(error: unknown): NonNullable<StoreAnswer["error"]> {
  if (error instanceof CustodyError) return { message: error.message, code: error.code };
  return { message: error instanceof Error ? error.message : String(error) };
}

if (parentPort !== null) serve(parentPort, (workerData as { path: string }).path);
