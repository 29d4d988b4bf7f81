import { keyArn } from "../arn.ts";
import type { CustodyErrorCode } from "../errors.ts";
import { custodyErrors } from "../errors.ts";
import type { AuditRecord, CustodyIdentity } from "../service.ts";
import { isReadOnly, nameOfAction } from "./event-names.ts";

/** Where the key manager is, for the members that name its account and region. */
export type RecordPlace = Pick<CustodyIdentity, "account" | "region">;

/** The principal of what the key manager does by itself. */
export const systemPrincipal = "strongroom";

/** A cache is emptied when it holds this many: what is asked for is few keys and few principals. */
const maxCached = 4096;

/**
 * Writes records in the shape of AWS CloudTrail (event version 1.08), with `sequence`, `door`, `result` and `state` (the
 * store's state version) as members of our own. Each record is one line of printable ASCII: everything else that a caller
 * chose is escaped as `\uXXXX`, so that no record can end a line or steer a terminal.
 *
 * What repeats (who, which key, which operation) is written once and kept: every request on every door comes through here.
 */
export class RecordEncoder {
  readonly #place: RecordPlace;
  readonly #events = new Map<string, EventText>();
  readonly #identities = new Map<string, string>();
  readonly #keys = new Map<string, KeyText>();
  readonly #texts = new Map<string, string>();

  constructor(place: RecordPlace) {
    this.#place = place;
  }

  encode(record: AuditRecord, stateVersion: number): string {
    const event = cached(this.#events, record.action, this.#eventText);
    const { accessKeyId, error, userAgent } = record;
    const who = accessKeyId === null ? record.principal : `${record.principal}\0${accessKeyId}`;
    const identity = cached(this.#identities, who, identityText);
    const agent = userAgent === null ? "" : `,"userAgent":${cached(this.#texts, userAgent, asciiJson)}`;
    const refusal = error === null ? "" : `,"errorCode":${asciiJson(error)}${errorMessage(error)}`;
    return `{"eventVersion":"1.08","sequence":${record.sequence},"eventTime":"${record.at}",${event.head}${identity},"sourceIPAddress":${cached(this.#texts, record.peer, asciiJson)}${agent}${refusal},"requestParameters":${this.#parameters(record)},"resources":${this.#resources(record)},"requestID":${asciiJson(record.requestId)},"eventID":"${record.eventId}",${event.tail},"door":"${record.door}","result":"${record.result}","state":${stateVersion}}`;
  }

  #parameters({ key, context, detail }: AuditRecord): string {
    let text = key === null || key === "" ? "" : `,${this.#key(key).parameter}`;
    if (context !== null) text += `,"encryptionContext":${asciiJson(context)}`;
    for (const name in detail) text += `,${asciiJson(parameterName(name))}:${asciiJson(detail[name] ?? null)}`;
    return text === "" ? "null" : `{${text.slice(1)}}`;
  }

  /** The keys that the request is about; a re-encryption names the one it leaves and the one it goes to. */
  #resources({ key, detail }: AuditRecord): string {
    if (key === null || key === "") return "[]";
    const { toKey } = detail;
    const further = typeof toKey === "string" && toKey !== key ? `,${this.#key(toKey).resource}` : "";
    return `[${this.#key(key).resource}${further}]`;
  }

  #key(id: string): KeyText {
    return cached(this.#keys, id, this.#keyText);
  }

  readonly #keyText = (id: string): KeyText => ({
    parameter: `"keyId":${asciiJson(id)}`,
    resource: asciiJson({ ARN: keyArn(this.#place, id), accountId: this.#place.account, type: "AWS::KMS::Key" }),
  });

  readonly #eventText = (action: string): EventText => {
    const { account, region } = this.#place;
    const { source, name } = nameOfAction(action);
    const head = { eventSource: source, eventName: name, awsRegion: region };
    const tail = {
      readOnly: isReadOnly(action),
      managementEvent: true,
      eventCategory: "Management",
      recipientAccountId: account,
    };
    return { head: `${asciiJson(head).slice(1, -1)},`, tail: asciiJson(tail).slice(1, -1) };
  };
}

/** Text of a value as JSON in printable ASCII. */
export function asciiJson(value: unknown): string {
  const text = JSON.stringify(value);
  return beyondAscii.test(text) ? text.replace(everyBeyondAscii, escaped) : text;
}

const beyondAscii = /[^\x20-\x7e]/;
const everyBeyondAscii = /[^\x20-\x7e]/g;

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

interface EventText {
  readonly head: string;
  readonly tail: string;
}

interface KeyText {
  readonly parameter: string;
  readonly resource: string;
}

function cached<T>(cache: Map<string, T>, name: string, make: (name: string) => T): T {
  let text = cache.get(name);
  if (text === undefined) {
    if (cache.size >= maxCached) cache.clear();
    text = make(name);
    cache.set(name, text);
  }
  return text;
}

/** `who`: the principal and, after a zero character, the access key. */
function identityText(who: string): string {
  const end = who.indexOf("\0");
  const principal = end < 0 ? who : who.slice(0, end);
  const accessKey = end < 0 ? {} : { accessKeyId: who.slice(end + 1) };
  // CloudTrail's word for what a service does of itself.
  const eventType = principal === systemPrincipal ? "AwsServiceEvent" : "AwsApiCall";
  return `"eventType":"${eventType}","userIdentity":${asciiJson({ ...identityOf(principal), ...accessKey })}`;
}

const identityTypes: Readonly<Record<string, string>> = { user: "IAMUser", node: "Node", service: "Service" };

function identityOf(principal: string): Readonly<Record<string, string>> {
  const [, account, kind, name] = /^arn:aws:iam::(\d{12}):(user|node|service)\/(.+)$/s.exec(principal) ?? [];
  if (account !== undefined && kind !== undefined && name !== undefined)
    return { type: identityTypes[kind] ?? "Unknown", arn: principal, accountId: account, userName: name };
  if (principal === systemPrincipal) return { type: "AWSService", principalId: principal, invokedBy: principal };
  return { type: "Unknown", principalId: principal };
}

/** The code's one-line meaning: never an error's own message, which may hold what the caller sent. */
function errorMessage(code: string): string {
  if (!Object.hasOwn(custodyErrors, code)) return "";
  return `,"errorMessage":${asciiJson(custodyErrors[code as CustodyErrorCode].meaning)}`;
}

const ownParameters: ReadonlySet<string> = new Set(["keyId", "encryptionContext"]);
const detailPrefix = "detail:";

/** A detail that is called as a parameter that every record may have is kept apart from it. */
function parameterName(name: string): string {
  return ownParameters.has(name) || name.startsWith(detailPrefix) ? `${detailPrefix}${name}` : name;
}

/** The detail's name that {@link parameterName} stands for; undefined for the parameters of every record. */
export function detailName(parameter: string): string | undefined {
  if (ownParameters.has(parameter)) return undefined;
  return parameter.startsWith(detailPrefix) ? parameter.slice(detailPrefix.length) : parameter;
}
