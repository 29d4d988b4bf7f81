import type { Caller } from "../service.ts";

export interface PolicyOperations {
  get(caller: Caller, key: string): Promise<string>;
  /** The names of a key's policies: always the one, `default`. */
  list(caller: Caller, key: string): Promise<readonly string[]>;
  put(caller: Caller, key: string, policy: string, options?: { bypassLockoutCheck?: boolean }): Promise<void>;
}
