import type { AuditRecord } from "../client/protocol.ts";

/** Controls, format characters (what hides, or turns the direction of text around), separators, lone surrogates. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text that a caller chose, as it may be shown on a terminal: what could move the cursor or hide is `\uXXXX`. */
export function shown(text: string): string {
  return text.replace(unprintable, (character) => character.split("").map(escaped).join(""));
}

/** Lines of text, each as it may be shown on a terminal. */
export function shownLines(text: string): string {
  return text.split("\n").map(shown).join("\n");
}

/** One UTF-16 unit. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A value as JSON that a terminal can show; parsed, it is the same value. */
export function shownJson(value: unknown, indent?: number): string {
  // Line ends between members are the only unprintable characters outside strings.
  return shownLines(JSON.stringify(value, null, indent));
}

/** A record on one line. */
export function recordLine(record: AuditRecord): string {
  const outcome = record.error === null ? record.result : `${record.result} (${record.error})`;
  const context = record.context === null ? "" : ` context=${JSON.stringify(record.context)}`;
  const key = record.key ? ` key=${record.key}` : "";
  const detail = Object.keys(record.detail).length === 0 ? "" : ` ${JSON.stringify(record.detail)}`;
  return shown(
    `${record.sequence} ${record.at} ${record.door} ${record.principal} ${record.peer} ${record.action}${key}${context}${detail} ${outcome}`,
  );
}

const csvColumns = [
  "sequence",
  "at",
  "door",
  "principal",
  "peer",
  "action",
  "key",
  "context",
  "result",
  "error",
  "requestId",
  "detail",
  "accessKeyId",
  "userAgent",
  "eventId",
] as const;

/** The heading of {@link csvLine}'s cells. */
export const csvHeading: string = csvColumns.join(",");

/** RFC 4180; a cell that a spreadsheet would take for a formula gets an apostrophe in front. */
export function csvLine(record: AuditRecord): string {
  return csvColumns
    .map((column) => {
      const value = record[column];
      const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
      // Spreadsheets pass over white space, full-width forms and what cannot be seen before they look for a formula.
      const safe = /^[\s\p{C}]*[=+\-@|%\uff1d\uff0b\uff0d\uff20\t\r\n]/u.test(text) ? `'${text}` : text;
      const plain = shown(safe);
      return /[",;]/.test(plain) || plain !== plain.trim() ? `"${plain.replaceAll('"', '""')}"` : plain;
    })
    .join(",");
}
