import type { Context } from "../../crypto/context.ts";
import type { AuditRecord, Door } from "../service.ts";
import { actionOfName } from "./event-names.ts";
import { detailName } from "./record-text.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** Reads a stored record (see docs/formats.md); undefined when it is not one. */
export function decodeRecord(body: string): AuditRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!isObject(value) || !Number.isSafeInteger(value.sequence) || !Number.isSafeInteger(value.state)) return undefined;
  return value.eventVersion === undefined ? earlierRecord(value) : cloudTrailRecord(value);
}

function cloudTrailRecord(value: JsonObject): AuditRecord | undefined {
  const { userIdentity, requestParameters, resources, eventSource, eventName } = value;
  if (!isObject(userIdentity) || !Array.isArray(resources)) return undefined;
  if (typeof eventSource !== "string" || typeof eventName !== "string") return undefined;
  const parameters = isObject(requestParameters) ? requestParameters : {};
  const details: [string, string | number][] = [];
  for (const [parameter, member] of Object.entries(parameters)) {
    const name = detailName(parameter);
    if (name !== undefined) details.push([name, member as string | number]);
  }
  return {
    sequence: value.sequence as number,
    eventId: textOf(value.eventID) ?? "",
    at: textOf(value.eventTime) ?? "",
    door: value.door as Door,
    principal: textOf(userIdentity.arn) ?? textOf(userIdentity.principalId) ?? "",
    accessKeyId: textOf(userIdentity.accessKeyId),
    peer: textOf(value.sourceIPAddress) ?? "",
    userAgent: textOf(value.userAgent),
    action: actionOfName(eventSource, eventName),
    key: textOf(parameters.keyId),
    context: isObject(parameters.encryptionContext) ? (parameters.encryptionContext as Context) : null,
    result: value.result as AuditRecord["result"],
    error: textOf(value.errorCode),
    requestId: textOf(value.requestID) ?? "",
    // An assignment would take the name __proto__ for the object's prototype.
    detail: Object.fromEntries(details),
  };
}

/** The shape that chains began with: the members of {@link AuditRecord} themselves, without those that came later. */
function earlierRecord({ state: _, ...value }: JsonObject): AuditRecord | undefined {
  if (typeof value.action !== "string" || typeof value.at !== "string") return undefined;
  return { eventId: "", accessKeyId: null, userAgent: null, ...(value as object) } as AuditRecord;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
