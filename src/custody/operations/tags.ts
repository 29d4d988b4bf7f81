import type { TagOperations, Tags } from "../contract/key-attributes.ts";
import { type Core, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustBeAlive } from "../key-states.ts";
import type { Caller } from "../service.ts";
import { change } from "../state/records.ts";

const maxTags = 50;
const maxNameCharacters = 128;
const maxValueCharacters = 256;
/** What AWS KMS takes in names and values of tags; no line or other separators, which only a log would trip over. */
const allowed = /^[\p{L}\p{N}\p{Zs}_.:/=+\-@]*$/u;

/** Tags of master keys: names and values that people sort keys by, and that conditions of policies ask for. */
export class KeyTags implements TagOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async add(caller: Caller, key: string, tags: Tags): Promise<void> {
    const requestTags = checkTags(tags);
    const subject = {
      action: "kms:TagResource",
      reference: key,
      detail: { tags: shownNames(Object.keys(requestTags)) },
      facts: { requestTags },
    } as const;
    return performOnKey(this.#core, caller, { ...subject }, (record) => {
      mustBeAlive(record);
      const tagged = { ...record, tags: checkTags({ ...record.tags, ...requestTags }) };
      return { value: undefined, changes: [change("key", record.id, tagged)] };
    });
  }

  async remove(caller: Caller, key: string, names: readonly string[]): Promise<void> {
    for (const name of names) checkName(name);
    const subject = {
      action: "kms:UntagResource",
      reference: key,
      detail: { tags: shownNames(names) },
      facts: { tagKeys: names },
    } as const;
    return performOnKey(this.#core, caller, { ...subject }, (record) => {
      mustBeAlive(record);
      const left = Object.entries(record.tags).filter(([name]) => !names.includes(name));
      return { value: undefined, changes: [change("key", record.id, { ...record, tags: Object.fromEntries(left) })] };
    });
  }

  async list(caller: Caller, key: string): Promise<Tags> {
    return performOnKey(this.#core, caller, { action: "kms:ListResourceTags", reference: key }, (record) => ({
      value: record.tags,
    }));
  }
}

/**
 * Checks the tags of a request, or of a key: at most 50, names of 1 to 128 and values of 0 to 256 characters, letters,
 * digits, spaces and `_.:/=+-@` alone, none that begins `aws:`. Messages are AWS KMS's where it has any.
 *
 * @throws {CustodyError} `TAGS_INVALID`.
 */
export function checkTags(tags: Tags): Tags {
  const entries = Object.entries(tags);
  if (entries.length > maxTags) throw new CustodyError("TAGS_INVALID", "Too many tags");
  for (const [name, value] of entries) {
    checkName(name);
    if (typeof value !== "string" || value.length > maxValueCharacters || !allowed.test(value))
      throw new CustodyError(
        "TAGS_INVALID",
        `A tag value has at most ${maxValueCharacters} letters, digits, spaces or _.:/=+-@`,
      );
  }
  return Object.fromEntries(entries);
}

function checkName(name: string): void {
  if (typeof name !== "string" || name.length < 1 || name.length > maxNameCharacters || !allowed.test(name))
    throw new CustodyError(
      "TAGS_INVALID",
      `A tag key has 1 to ${maxNameCharacters} letters, digits, spaces or _.:/=+-@`,
    );
  if (/^aws:/i.test(name)) throw new CustodyError("TAGS_INVALID", "Tags beginning with aws: are reserved");
}

/** Names for an audit record, which is not to grow with what a refused caller sends. */
function shownNames(names: readonly string[]): string {
  const joined = names.join(", ");
  return joined.length <= 512 ? joined : `${joined.slice(0, 512)}…`;
}
