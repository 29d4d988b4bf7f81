import { malformed, quoted } from "./errors.ts";

/**
 * Parses JSON text and refuses what `JSON.parse` lets pass: an object that names a member twice.
 * A second `Effect` that quietly replaces the first would make a policy say another thing than its reader sees.
 *
 * @throws {PolicyError} `POLICY_MALFORMED`.
 */
export function parseStrictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed("", "the document is not JSON");
  }
  refuseRepeatedNames(text);
  return value;
}

/** `text` is known to be JSON, so every string that a colon follows is a member's name. */
function refuseRepeatedNames(text: string): void {
  const open: Set<string>[] = [];
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === "{" || character === "[") open.push(new Set());
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const end = endOfString(text, index);
      if (nextToken(text, end) === ":") {
        const name: unknown = JSON.parse(text.slice(index, end));
        const names = open.at(-1);
        if (typeof name === "string" && names !== undefined) {
          if (names.has(name)) throw malformed("", `the member ${quoted(name)} is given twice in one object`);
          names.add(name);
        }
      }
      index = end - 1;
    }
  }
}

/** Index after the closing quote. */
function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (text[index] !== '"') index += text[index] === "\\" ? 2 : 1;
  return index + 1;
}

function nextToken(text: string, from: number): string | undefined {
  let index = from;
  while (index < text.length && " \t\n\r".includes(text.charAt(index))) index += 1;
  return text[index];
}
