import type { Caller } from "../service.ts";

export interface AliasOperations {
  create(caller: Caller, alias: string, key: string): Promise<void>;
  update(caller: Caller, alias: string, key: string): Promise<void>;
  delete(caller: Caller, alias: string): Promise<void>;
  /** All, or those that point at `key`. */
  list(caller: Caller, key?: string): Promise<readonly AliasDescription[]>;
}

export interface AliasDescription {
  readonly alias: string;
  readonly keyId: string;
  readonly createdAt: string | null;
  /** When it was last made to point at a key. */
  readonly updatedAt: string | null;
}
