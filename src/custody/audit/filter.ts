import type { AuditFilter } from "../contract/audit.ts";
import { CustodyError } from "../errors.ts";
import type { AuditRecord } from "../service.ts";
import { nameOfAction } from "./event-names.ts";
import { decodeRecord } from "./read-record.ts";
import { asciiJson } from "./record-text.ts";

/** A filter with its key resolved to an id and its times as numbers. */
export interface CompiledFilter {
  /** The record, when it fits. @throws {CustodyError} `STATE_TAMPERED` for a stored text that is no record. */
  pick(sequence: number, text: string): AuditRecord | undefined;
}

/**
 * Makes a test of stored records. There is no index: the chain is what is searched, so nothing has to be believed but the
 * chain. Most records are passed over by a look for the wanted names in their text; only the others are taken apart.
 *
 * @param filter - `key` is the id of a key.
 * @throws {CustodyError} `INPUT_INVALID` for a time that is none.
 */
export function compileFilter(filter: AuditFilter): CompiledFilter {
  const { principal, key, node, purpose, action, denied } = filter;
  const sinceMs = timeOf("since", filter.since) ?? Number.NEGATIVE_INFINITY;
  const untilMs = timeOf("until", filter.until) ?? Number.POSITIVE_INFINITY;
  const fitsAction = action === undefined ? undefined : actionTest(action);
  const needles = [
    ...[principal, key, node, purpose].filter((each) => each !== undefined).map((each) => asciiJson(each).slice(1, -1)),
    ...(action === undefined ? [] : [needleOfAction(action)]),
    ...(denied === true ? ['"result":"refused"'] : []),
  ];
  const fits = (record: AuditRecord) => {
    const atMs = Date.parse(record.at);
    return (
      atMs >= sinceMs &&
      atMs < untilMs &&
      (principal === undefined || isPrincipal(record, principal)) &&
      (key === undefined || record.key === key || record.detail.toKey === key) &&
      (node === undefined || isAboutNode(record, node)) &&
      (purpose === undefined || record.context?.purpose === purpose) &&
      (fitsAction === undefined || fitsAction(record.action)) &&
      (denied !== true || record.result === "refused")
    );
  };
  return {
    pick(sequence, text) {
      if (!needles.every((needle) => text.includes(needle))) return undefined;
      const record = decodeRecord(text);
      if (record?.sequence !== sequence)
        throw new CustodyError("STATE_TAMPERED", `audit record ${sequence} is damaged`);
      return fits(record) ? record : undefined;
    },
  };
}

function isPrincipal({ principal, accessKeyId }: AuditRecord, wanted: string): boolean {
  return (
    principal === wanted ||
    accessKeyId === wanted ||
    principal.endsWith(`/${wanted}`) ||
    (wanted.includes("/") && principal.endsWith(`:${wanted}`))
  );
}

/** The node's own requests, and those that name it: in their context, as the one they are about, as a grant's grantee. */
function isAboutNode({ principal, context, detail }: AuditRecord, node: string): boolean {
  const suffix = `:node/${node}`;
  return (
    principal.endsWith(suffix) ||
    context?.node === node ||
    detail.node === node ||
    detail.name === node ||
    (typeof detail.grantee === "string" && detail.grantee.endsWith(suffix)) ||
    (typeof detail.principal === "string" && detail.principal.endsWith(suffix))
  );
}

function actionTest(wanted: string): (action: string) => boolean {
  const prefix = wanted.endsWith("*") ? wanted.slice(0, -1) : undefined;
  const fits = (name: string) => (prefix === undefined ? name === wanted : name.startsWith(prefix));
  return (action) => fits(action) || fits(action.slice(action.indexOf(":") + 1)) || fits(nameOfAction(action).name);
}

/** What every text of a record of such an action holds: its name begins like this, in every shape of the record. */
function needleOfAction(wanted: string): string {
  const pattern = wanted.endsWith("*") ? wanted.slice(0, -1) : wanted;
  const name = pattern.slice(pattern.indexOf(":") + 1);
  return asciiJson(name.startsWith("ReEncrypt") ? "ReEncrypt" : name).slice(1, -1);
}

function timeOf(member: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (!Number.isFinite(ms))
    throw new CustodyError("INPUT_INVALID", `${member} is a time such as 2026-11-21T12:00:00Z, or a day`);
  return ms;
}
