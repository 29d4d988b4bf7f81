import type { Tags } from "../../../custody/contract/key-attributes.ts";
import { AwsError } from "../errors.ts";

interface Tag {
  readonly TagKey: string;
  readonly TagValue: string;
}

/**
 * A list of tags as custody takes them; a name that is given twice cannot be.
 *
 * @throws {AwsError} `TagException`.
 */
export function tagsOf(list: readonly Tag[]): Tags {
  if (new Set(list.map(({ TagKey }) => TagKey)).size !== list.length)
    throw new AwsError("TagException", "Duplicate tag keys");
  return Object.fromEntries(list.map(({ TagKey, TagValue }) => [TagKey, TagValue]));
}

/** Tags as answers list them, in the order of their names. */
export function tagListOf(tags: Tags): readonly Tag[] {
  return Object.entries(tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
}
