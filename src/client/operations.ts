/**
 * The operations of the native door: HTTP method, path, and how they may be tried again.
 *
 * `safe`: asking twice does what asking once does (reads, unwrap), so the client may go on to the next server when one
 * does not answer. `input`/`answer` `secret`: the body is raw bytes (`application/octet-stream`) that never become a
 * JavaScript string; the other members travel in the `strongroom-input` header (base64 of JSON), and back in
 * `strongroom-<member>` headers.
 */
export interface Operation {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly safe: boolean;
  /** The work takes as long as what it works on: no deadline of seconds. */
  readonly slow?: boolean;
  readonly input: "none" | "json" | "secret";
  readonly answer: "none" | "json" | "secret";
}

const read = (path: string): Operation => ({ method: "GET", path, safe: true, input: "none", answer: "json" });
const ask = (path: string): Operation => ({ method: "POST", path, safe: true, input: "json", answer: "json" });
const change = (path: string): Operation => ({ method: "POST", path, safe: false, input: "json", answer: "json" });
const order = (path: string): Operation => ({ method: "POST", path, safe: false, input: "json", answer: "none" });

export const operations = {
  whoami: read("/v1/whoami"),
  openapi: read("/v1/openapi.json"),
  enroll: change("/v1/enroll"),
  renew: change("/v1/renew"),

  generateDataKey: change("/v1/generate-data-key"),
  wrap: { ...change("/v1/wrap"), input: "secret" },
  unwrap: { ...ask("/v1/unwrap"), answer: "secret" },
  releaseLease: { ...ask("/v1/release-lease"), answer: "none" },
  rewrap: ask("/v1/rewrap"),

  "keys.create": { ...change("/v1/keys/create"), slow: true },
  "keys.describe": ask("/v1/keys/describe"),
  "keys.list": read("/v1/keys/list"),
  "keys.page": ask("/v1/keys/page"),
  "keys.enable": change("/v1/keys/enable"),
  "keys.disable": change("/v1/keys/disable"),
  "keys.rotate": change("/v1/keys/rotate"),
  "keys.scheduleDeletion": change("/v1/keys/schedule-deletion"),
  "keys.cancelDeletion": change("/v1/keys/cancel-deletion"),
  "keys.destroy": change("/v1/keys/destroy"),
  "keys.updateDescription": change("/v1/keys/update-description"),

  "tags.add": order("/v1/tags/add"),
  "tags.remove": order("/v1/tags/remove"),
  "tags.list": ask("/v1/tags/list"),

  "rotation.enable": change("/v1/rotation/enable"),
  "rotation.disable": change("/v1/rotation/disable"),
  "rotation.status": ask("/v1/rotation/status"),
  "rotation.list": ask("/v1/rotation/list"),

  "aliases.create": order("/v1/aliases/create"),
  "aliases.update": order("/v1/aliases/update"),
  "aliases.delete": order("/v1/aliases/delete"),
  "aliases.list": read("/v1/aliases/list"),

  "policies.get": ask("/v1/policies/get"),
  "policies.put": order("/v1/policies/put"),

  "grants.create": change("/v1/grants/create"),
  "grants.list": ask("/v1/grants/list"),
  "grants.revoke": order("/v1/grants/revoke"),
  "grants.retire": order("/v1/grants/retire"),

  "principals.create": change("/v1/principals/create"),
  "principals.list": read("/v1/principals/list"),
  "principals.disable": change("/v1/principals/disable"),
  "principals.enable": change("/v1/principals/enable"),

  "users.create": change("/v1/users/create"),
  "users.list": read("/v1/users/list"),
  "users.describe": ask("/v1/users/describe"),
  "users.setGroups": change("/v1/users/set-groups"),
  "users.delete": order("/v1/users/delete"),

  "accessKeys.create": { ...change("/v1/access-keys/create"), answer: "secret" },
  "accessKeys.rotate": { ...change("/v1/access-keys/rotate"), answer: "secret" },
  "accessKeys.setState": change("/v1/access-keys/set-state"),
  "accessKeys.delete": order("/v1/access-keys/delete"),

  "groups.create": change("/v1/groups/create"),
  "groups.list": read("/v1/groups/list"),
  "groups.setPolicies": change("/v1/groups/set-policies"),
  "groups.delete": order("/v1/groups/delete"),

  "nodes.createToken": { ...change("/v1/nodes/create-token"), answer: "secret" },
  "nodes.revoke": change("/v1/nodes/revoke"),
  "nodes.destroyed": change("/v1/nodes/destroyed"),
  "nodes.list": read("/v1/nodes/list"),
  "nodes.leases": read("/v1/nodes/leases"),

  "counters.advance": ask("/v1/counters/advance"),
  "counters.read": ask("/v1/counters/read"),
  "counters.list": ask("/v1/counters/list"),
  "counters.reset": order("/v1/counters/reset"),

  "enclaves.report": { ...ask("/v1/enclaves/report"), answer: "none" },
  "enclaves.list": ask("/v1/enclaves/list"),
  "enclaves.forget": order("/v1/enclaves/forget"),

  "console.createCode": { ...change("/v1/console/create-code"), answer: "secret" },

  "integrations.create": { ...change("/v1/integrations/create"), input: "secret" },
  "integrations.list": read("/v1/integrations/list"),
  "integrations.describe": ask("/v1/integrations/describe"),
  "integrations.delete": order("/v1/integrations/delete"),

  "devices.list": read("/v1/devices/list"),
  "devices.trust": change("/v1/devices/trust"),

  "legacy.register": { ...change("/v1/legacy/register"), input: "secret" },
  "legacy.list": read("/v1/legacy/list"),

  "audit.read": ask("/v1/audit/read"),
  "audit.search": { ...ask("/v1/audit/search"), slow: true },
  "audit.export": ask("/v1/audit/export"),
  "audit.reportPosition": ask("/v1/audit/report-position"),
  "audit.completeReport": order("/v1/audit/complete-report"),
  "audit.checkpoint": read("/v1/audit/checkpoint"),
  "audit.verify": { ...ask("/v1/audit/verify"), slow: true },
} as const satisfies Readonly<Record<string, Operation>>;

export type OperationName = keyof typeof operations;

/** The largest request body, in bytes. */
export const maxRequestBytes = 64 * 1024;

/** Headers of the native door. */
export const headers = { input: "strongroom-input", requestId: "x-request-id" } as const;

const memberHeaders = new Map<string, string>();

/** The header that carries a member of a secret answer: `keyId` is `strongroom-key-id`. */
export function memberHeader(member: string): string {
  let header = memberHeaders.get(member);
  if (header === undefined) {
    header = `strongroom-${member.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    memberHeaders.set(member, header);
  }
  return header;
}
