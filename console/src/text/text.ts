import { en, type TextKey } from "./en.ts";
import { zh } from "./zh.ts";

export const dictionaries = { en, zh } as const satisfies Record<string, Readonly<Record<TextKey, string>>>;

export type Language = keyof typeof dictionaries;

/** Gives the text of a key, its `{name}` parts filled in. */
export type Text = (key: TextKey, values?: Readonly<Record<string, string | number>>) => string;

export function textIn(language: Language): Text {
  const dictionary = dictionaries[language];
  return (key, values = {}) => dictionary[key].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Whether a text exists: for keys that are put together from what a server says. */
export function isTextKey(key: string): key is TextKey {
  return Object.hasOwn(en, key);
}
