import type { StoredRecord } from "../../custody/contract/audit.ts";

/** Facility "log audit" (RFC 5424, table 1). */
const facility = 13;
/** Severities (RFC 5424, table 2). */
const severities = { error: 3, warning: 4, notice: 5, informational: 6 } as const;
/** `sequenceId` runs from 1 to 2147483647 and begins again (RFC 5424, 7.3.1). */
const maxSequenceId = 2 ** 31 - 1;

/** Who sends: printable ASCII without spaces. */
export interface SyslogSender {
  readonly hostname: string;
  readonly processId: number;
}

/**
 * A record as one message of RFC 5424: time and event name in the header, the stored JSON line as the message. The line is
 * ASCII, so it needs no byte order mark, and nothing in it can begin another message.
 */
export function syslogMessage({ sequence, text }: StoredRecord, { hostname, processId }: SyslogSender): Buffer {
  const head = headOf(text);
  const priority = facility * 8 + severities[severityOf(head)];
  const sequenceId = ((sequence - 1) % maxSequenceId) + 1;
  const host = word(hostname, 255);
  return Buffer.from(
    `<${priority}>1 ${head.time} ${host} strongroom ${processId} ${word(head.event, 32)} [meta sequenceId="${sequenceId}"] ${text}`,
    "latin1",
  );
}

/** A message on a stream: its length in bytes goes in front (RFC 6587, 3.4.1, as RFC 5425 has it). */
export function counted(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}

interface Head {
  readonly time: string;
  readonly event: string;
  readonly result: string;
}

function headOf(text: string): Head {
  const { eventTime, eventName, result } = JSON.parse(text) as Partial<Record<string, string>>;
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/.test(eventTime ?? "") ? eventTime : undefined;
  return { time: time ?? "-", event: eventName ?? "", result: result ?? "" };
}

function severityOf({ event, result }: Head): keyof typeof severities {
  if (result === "failed") return "error";
  if (result === "refused") return "warning";
  return event === "Notice" ? "notice" : "informational";
}

function word(text: string, most: number): string {
  return text.replace(/[^\x21-\x7e]/g, "_").slice(0, most) || "-";
}
