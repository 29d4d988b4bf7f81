import { aliasArn, keyArn } from "./arn.ts";
import { CustodyError } from "./errors.ts";
import { asExpired, materialExpired } from "./key-states.ts";
import type { CustodyIdentity, KeyDescription } from "./service.ts";
import { type Page, type PageInput, pageOfIds, SortedIds } from "./sorted-ids.ts";
import type { KeyRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** Finds master keys by id, alias, key ARN or alias ARN, and describes them. */
export class KeyDirectory {
  readonly #state: State;
  readonly #identity: CustodyIdentity;
  readonly #nowMs: () => number;
  readonly #ids = new SortedIds();
  /** Of the keys that are not destroyed. */
  readonly #living = new SortedIds();
  readonly #aliases = new Map<string, Set<string>>();
  readonly #aliasOwners = new Map<string, string>();

  /** @param nowMs - Custody's time, Unix milliseconds: a key whose imported material has expired is shown as waiting for it. */
  constructor(state: State, identity: CustodyIdentity, nowMs: () => number) {
    this.#state = state;
    this.#identity = identity;
    this.#nowMs = nowMs;
    for (const [id, key] of state.all("key")) this.#place(id, key);
    for (const [alias, { keyId }] of state.all("alias")) this.#point(alias, keyId);
    state.onChange((change) => {
      if (change.kind === "key") this.#place(change.id, change.record as KeyRecord | null);
      if (change.kind !== "alias") return;
      this.#unpoint(change.id);
      if (change.record !== null) this.#point(change.id, (change.record as { keyId: string }).keyId);
    });
  }

  /** @throws {CustodyError} `KEY_NOT_FOUND`. */
  find(reference: string): KeyRecord {
    const named = this.#state.get("key", reference);
    if (named !== undefined) return this.#asOfNow(named);
    const prefix = aliasArn(this.#identity, "");
    const local = reference.startsWith(prefix) ? reference.slice(prefix.length) : reference;
    const id = local.startsWith("alias/")
      ? this.#state.get("alias", local)?.keyId
      : local.startsWith("key/")
        ? local.slice("key/".length)
        : local;
    const key = id === undefined ? undefined : this.#state.get("key", id);
    if (key === undefined) throw keyNotFound(reference);
    return this.#asOfNow(key);
  }

  /** Every master key. */
  all(): readonly KeyRecord[] {
    return [...this.#state.all("key")].map(([, key]) => this.#asOfNow(key));
  }

  /** One page of the keys in the order of their ids: of all, or of those that are not destroyed. */
  page(page: PageInput, which: "all" | "living"): Page<KeyRecord> {
    return pageOfIds(which === "all" ? this.#ids : this.#living, page, (id) => {
      const key = this.#state.get("key", id);
      return key === undefined ? undefined : this.#asOfNow(key);
    });
  }

  /** Aliases that point at a key, sorted. */
  aliasesOf(keyId: string): readonly string[] {
    return [...(this.#aliases.get(keyId) ?? [])].sort();
  }

  describe(key: KeyRecord): KeyDescription {
    const newest = key.versions.at(-1);
    const waits = key.state === "pending-import";
    return {
      keyId: key.id,
      arn: keyArn(this.#identity, key.id),
      aliases: this.aliasesOf(key.id),
      description: key.description,
      suite: key.suite,
      usage: key.usage,
      spec: key.spec,
      origin: key.origin,
      device: key.device ?? null,
      state: key.state,
      currentVersion: newest?.version ?? 0,
      versions: key.versions.map(({ version, createdAt }) => ({ version, createdAt })),
      createdAt: key.createdAt,
      deletionAt: key.deletionAt,
      materialId: newest === undefined || waits || newest.material === null ? null : newest.materialId,
      expiresAt: waits ? null : (key.imported?.expiresAt ?? null),
    };
  }

  #asOfNow(key: KeyRecord): KeyRecord {
    return key.imported !== null && materialExpired(key, this.#nowMs()) ? asExpired(key) : key;
  }

  #place(id: string, key: KeyRecord | null): void {
    if (key === null) this.#ids.delete(id);
    else this.#ids.add(id);
    if (key === null || key.state === "destroyed") this.#living.delete(id);
    else this.#living.add(id);
  }

  #point(alias: string, keyId: string): void {
    const aliases = this.#aliases.get(keyId) ?? new Set<string>();
    this.#aliases.set(keyId, aliases.add(alias));
    this.#aliasOwners.set(alias, keyId);
  }

  #unpoint(alias: string): void {
    const owner = this.#aliasOwners.get(alias);
    if (owner === undefined) return;
    this.#aliases.get(owner)?.delete(alias);
    this.#aliasOwners.delete(alias);
  }
}

/** What is answered for a key that is not there, whatever the request calls it. */
export function keyNotFound(reference: string): CustodyError {
  const message = `there is no master key ${JSON.stringify(reference.slice(0, 300))}`;
  return new CustodyError("KEY_NOT_FOUND", message, undefined, { reference });
}
