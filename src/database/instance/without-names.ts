/** From where a path begins to where an error goes on; names in it may hold spaces. Node.js puts it between quotes. */
const path = /'\/.*'|(?<=^|[\s"=])\/.*?(?=: |$)/g;
const field = (name: string): RegExp => new RegExp(`(?:^| )${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|(\\S+))`);
const messageField = field("msg");
const errorField = field("error");

/**
 * What may be told outside the volume of a line that influxd printed: its message and error without paths. The other fields, and
 * paths, name databases, retention policies and series, which lie encrypted.
 */
export function withoutNames(line: string): string {
  const message = fieldOf(messageField, line);
  if (message === undefined) return line.replace(path, "…");
  const error = fieldOf(errorField, line);
  return [message, ...(error === undefined ? [] : [error])].map((text) => text.replace(path, "…")).join(": ");
}

function fieldOf(pattern: RegExp, line: string): string | undefined {
  const match = pattern.exec(line);
  return match?.[1] ?? match?.[2];
}
