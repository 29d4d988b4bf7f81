import type { Grant } from "../policy/grant.ts";
import type { Caller } from "../service.ts";
import type { Page, PageInput } from "../sorted-ids.ts";

export type CreateGrantInput = Pick<Grant, "grantee" | "operations"> &
  Partial<Pick<Grant, "constraints" | "notAfter" | "name" | "retiring">>;

export type GrantOnKey = Grant & { readonly keyId: string };

/** Which page, and of which grants on the key: all, a grantee's, or the one of an id. */
export type GrantPageInput = PageInput & { readonly grantee?: string; readonly grantId?: string };

export interface GrantOperations {
  create(caller: Caller, key: string, input: CreateGrantInput): Promise<Grant>;
  list(caller: Caller, key: string): Promise<readonly Grant[]>;
  /** One page of the grants on a key, in the order of their ids. */
  page(caller: Caller, key: string, page: GrantPageInput): Promise<Page<Grant>>;
  /** Grants on every key whose grants the caller may list, or those of one grantee (an ARN): one record for all. */
  listAll(caller: Caller, grantee?: string): Promise<readonly GrantOnKey[]>;
  revoke(caller: Caller, key: string, grantId: string): Promise<void>;
  /**
   * Ends a grant by right of the grant itself: by its retiring principal, or its grantee when it holds `RetireGrant`.
   * `key` null: the key that the grant is on.
   */
  retire(caller: Caller, key: string | null, grantId: string): Promise<void>;
  /** Grants on any key that this principal may retire as their retiring principal. */
  listRetirable(caller: Caller, principal: string): Promise<readonly GrantOnKey[]>;
}
