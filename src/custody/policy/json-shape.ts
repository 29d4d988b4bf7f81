import { malformed } from "./errors.ts";

/** Own members of a JSON object, `__proto__` like any other. */
export function asObject(value: unknown, path: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(path, "an object is expected");
  return Object.entries(value);
}

/** A string without control characters, lone surrogates or nothing in it. */
export function asText(value: unknown, path: string, maxLength: number): string {
  if (typeof value !== "string" || value === "") throw malformed(path, "a text that is not empty is expected");
  if (value.length > maxLength) throw malformed(path, `the text has more than ${maxLength} characters`);
  return clean(value, path);
}

/** One string, or a list of at least one. */
export function asTexts(value: unknown, path: string, maxLength: number): readonly string[] {
  return listOf(value, path).map((each, index) => asText(each, pathOf(value, path, index), maxLength));
}

/** One value of a condition or a list of at least one; numbers and truth values as AWS writes them, as text. */
export function asScalars(value: unknown, path: string): readonly string[] {
  return listOf(value, path).map((each, index) => {
    if (typeof each === "string") return clean(each, pathOf(value, path, index));
    if (typeof each === "boolean" || typeof each === "number") return String(each);
    throw malformed(pathOf(value, path, index), "a text, number or truth value is expected");
  });
}

function listOf(value: unknown, path: string): readonly unknown[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw malformed(path, "the list is empty");
  return list;
}

function pathOf(value: unknown, path: string, index: number): string {
  return Array.isArray(value) ? `${path}[${index}]` : path;
}

function clean(text: string, path: string): string {
  if (!text.isWellFormed() || /\p{Cc}/u.test(text))
    throw malformed(path, "the text holds a control character or half a surrogate pair");
  return text;
}
