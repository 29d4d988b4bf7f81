import { list } from "./answers.ts";
import { ClientError } from "./errors.ts";
import type { Answer, Input, KeyDescription } from "./protocol.ts";

/** A page stays far below the largest answer, also with the longest descriptions. */
const keysOfPage = 500;

/**
 * Every key, the oldest first, page by page.
 *
 * @throws {ClientError} `BAD_ANSWER` when the pages do not go forward: a server is not asked for ever.
 */
export async function allKeys(
  ask: (input: Input<"keys.page">) => Promise<Answer<"keys.page">>,
): Promise<readonly KeyDescription[]> {
  const keys: KeyDescription[] = [];
  for (let more = true; more; ) {
    let after = keys.at(-1)?.keyId;
    const page = await ask({ limit: keysOfPage, ...(after === undefined ? {} : { after }) });
    const found = list(page.keys);
    more = page.more === true;
    for (const key of found) {
      if (typeof key.keyId !== "string" || (after !== undefined && key.keyId <= after)) throw notForward();
      after = key.keyId;
      keys.push(key);
    }
    if (more && found.length === 0) throw notForward();
  }
  return keys.sort((left, right) => Date.parse(left.createdAt) - Date.parse(right.createdAt));
}

function notForward(): ClientError {
  return new ClientError("BAD_ANSWER", "the pages of the list of keys do not follow each other");
}
