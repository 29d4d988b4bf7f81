import { SortedIds } from "../sorted-ids.ts";
import type { Grant } from "./grant.ts";

/** Grants in groups, each group in the order in which they came. */
class Groups {
  readonly #groups = new Map<string, Map<string, Grant>>();

  add(group: string, grant: Grant): void {
    this.#groups.getOrInsertComputed(group, () => new Map<string, Grant>()).set(grant.id, grant);
  }

  remove(group: string, grantId: string): void {
    const of = this.#groups.get(group);
    of?.delete(grantId);
    if (of?.size === 0) this.#groups.delete(group);
  }

  of(group: string): readonly Grant[] {
    const of = this.#groups.get(group);
    return of === undefined ? none : [...of.values()];
  }
}

const none: readonly Grant[] = [];

/** The grants on one key. */
class GrantsOnKey {
  readonly all = new Map<string, Grant>();
  readonly ids = new SortedIds();
  readonly byGrantee = new Groups();
  readonly byName = new Groups();
}

/** Grants by what they are looked for: a decision looks only at those that can matter, a page reads only what it shows. */
export class GrantIndex {
  readonly #byId = new Map<string, Grant>();
  readonly #byKey = new Map<string, GrantsOnKey>();
  readonly #byGrantee = new Groups();
  readonly #byRetiring = new Groups();
  readonly #byParent = new Groups();

  /** Adds a grant, or replaces the one with its id. */
  add(grant: Grant): void {
    this.remove(grant.id);
    const { id, keyId, grantee, name, retiring, parent } = grant;
    this.#byId.set(id, grant);
    const onKey = this.#byKey.getOrInsertComputed(keyId, () => new GrantsOnKey());
    onKey.all.set(id, grant);
    onKey.ids.add(id);
    onKey.byGrantee.add(grantee, grant);
    if (name !== undefined) onKey.byName.add(name, grant);
    this.#byGrantee.add(grantee, grant);
    if (retiring !== undefined) this.#byRetiring.add(retiring, grant);
    if (parent !== undefined) this.#byParent.add(parent, grant);
  }

  remove(grantId: string): void {
    const grant = this.#byId.get(grantId);
    if (grant === undefined) return;
    const { id, keyId, grantee, name, retiring, parent } = grant;
    this.#byId.delete(id);
    const onKey = this.#byKey.get(keyId);
    onKey?.all.delete(id);
    onKey?.ids.delete(id);
    onKey?.byGrantee.remove(grantee, id);
    if (name !== undefined) onKey?.byName.remove(name, id);
    if (onKey?.all.size === 0) this.#byKey.delete(keyId);
    this.#byGrantee.remove(grantee, id);
    if (retiring !== undefined) this.#byRetiring.remove(retiring, id);
    if (parent !== undefined) this.#byParent.remove(parent, id);
  }

  /** What `decide` needs for one request. */
  of(keyId: string, granteeArn: string): readonly Grant[] {
    return this.#byKey.get(keyId)?.byGrantee.of(granteeArn) ?? none;
  }

  /** All grants on a key. */
  onKey(keyId: string): readonly Grant[] {
    return [...(this.#byKey.get(keyId)?.all.values() ?? [])];
  }

  countOnKey(keyId: string): number {
    return this.#byKey.get(keyId)?.all.size ?? 0;
  }

  /** Ids of the grants on a key, in order; undefined where there are none. */
  idsOnKey(keyId: string): SortedIds | undefined {
    return this.#byKey.get(keyId)?.ids;
  }

  /** The grants on a key that have this name. */
  named(keyId: string, name: string): readonly Grant[] {
    return this.#byKey.get(keyId)?.byName.of(name) ?? none;
  }

  /** All grants of a grantee, on any key. */
  ofGrantee(arn: string): readonly Grant[] {
    return this.#byGrantee.of(arn);
  }

  /** All grants, on any key, that name this retiring principal. */
  retirableBy(arn: string): readonly Grant[] {
    return this.#byRetiring.of(arn);
  }

  /** These ids, and those of the grants that were made by right of them, and by right of those. */
  withDescendants(grantIds: Iterable<string>): ReadonlySet<string> {
    const found = new Set(grantIds);
    // A Set's iterator also visits what is added while it runs.
    for (const parent of found) for (const child of this.#byParent.of(parent)) found.add(child.id);
    return found;
  }
}
