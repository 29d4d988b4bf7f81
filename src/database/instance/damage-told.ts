/**
 * What the server of a volume tells of that has answered somebody with an error; the rest of what it tells is settled, or about its own work.
 * Kinds of docs/sealfs.md.
 */
const refusing: ReadonlySet<string> = new Set([
  "content-damaged",
  "entry-damaged",
  "entry-missing",
  "entry-repeated",
  "folder-replaced",
  "inode-replaced",
  "name-damaged",
]);

/** Whether a line of the volume's server says that stored data cannot be read any more. */
export function tellsOfRefusedData(line: string): boolean {
  return refusing.has(line.slice(0, Math.max(line.indexOf(":"), 0)));
}
