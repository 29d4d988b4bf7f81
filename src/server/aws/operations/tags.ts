import { type DefinedOperation, defineOperation } from "../define.ts";
import { keyId, tagKeyList, tagList } from "../members.ts";
import { page, pageOf } from "../pagination.ts";
import { required } from "../shape.ts";
import { tagListOf, tagsOf } from "./tag-list.ts";

const defaultPageLength = 50;

export const tagResource: DefinedOperation = defineOperation(
  "TagResource",
  { KeyId: required(keyId), Tags: required(tagList) },
  async ({ custody, caller, key }, input) => {
    await custody.tags.add(caller, key(input.KeyId), tagsOf(input.Tags));
    return undefined;
  },
);

export const untagResource: DefinedOperation = defineOperation(
  "UntagResource",
  { KeyId: required(keyId), TagKeys: required(tagKeyList) },
  async ({ custody, caller, key }, input) => {
    await custody.tags.remove(caller, key(input.KeyId), input.TagKeys);
    return undefined;
  },
);

export const listResourceTags: DefinedOperation = defineOperation(
  "ListResourceTags",
  { KeyId: required(keyId), ...page },
  async ({ custody, caller, key }, input) => {
    const tags = tagListOf(await custody.tags.list(caller, key(input.KeyId)));
    const { items, more } = pageOf(tags, input, ({ TagKey }) => TagKey, defaultPageLength);
    return { Tags: items.map(({ TagKey, TagValue }) => ({ TagKey, TagValue })), ...more };
  },
);
