import type {
  Answer,
  DeviceState as Device,
  Grant,
  Input,
  KeyDescription,
  LeaseDescription,
  PrincipalDescription,
  ReportedEnclave,
} from "../../src/client/protocol.ts";

export type {
  AuditRecord,
  AuditVerdict,
  DeviceState as Device,
  Grant,
  KeyDescription,
  PrincipalDescription,
} from "../../src/client/protocol.ts";

export interface Session {
  readonly principal: string;
  readonly account: string;
  readonly region: string;
  readonly csrfToken: string;
  readonly signedInWith: "code" | "certificate";
}

export interface NodeInView extends PrincipalDescription {
  readonly protectionsInAll: number;
  readonly protections: readonly {
    readonly keyId: string;
    readonly aliases: readonly string[];
    readonly state: KeyDescription["state"];
    readonly grantId: string;
    readonly operations: readonly string[];
    readonly notAfter: string | null;
  }[];
  readonly lastUnwrap: {
    readonly at: string;
    readonly peer: string;
    readonly result: "done" | "refused" | "failed";
    readonly error: string | null;
  } | null;
  readonly lease: LeaseDescription | null;
}

export interface NodesInView {
  readonly nodes: readonly NodeInView[];
  readonly unwrapsSince: string | null;
  readonly leasesSince: string | null;
  readonly nodesOverAws: readonly {
    readonly node: string;
    readonly network: string;
    readonly principal: string;
    readonly lastUnwrap: NonNullable<NodeInView["lastUnwrap"]>;
  }[];
}

export interface EnclaveInView extends Omit<ReportedEnclave, "hostState" | "state" | "generation" | "reportedAt"> {
  /** Null: there is no such node any more. */
  readonly hostState: ReportedEnclave["hostState"] | null;
  /** Null: its host has told nothing of it. */
  readonly reported: Pick<ReportedEnclave, "state" | "generation" | "reportedAt"> | null;
  readonly lastKeyUse: NodeInView["lastUnwrap"];
}

export interface EnclavesInView {
  readonly enclaves: readonly EnclaveInView[];
  readonly usesSince: string | null;
}

export interface Integration {
  readonly name: string;
  readonly region: string;
  readonly apiKey: string;
  readonly masterKey: string;
  readonly createdAt: string;
}

export interface Integrations {
  readonly available: boolean;
  readonly integrations: readonly Integration[];
}

/** A refusal of the server, with its code. `UNREACHABLE` when it did not answer. */
export class ApiError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

let csrfToken = "";
let onSessionEnded = () => {};

/** Calls back when an answer tells that the session is over. */
export function whenSessionEnds(listener: () => void): void {
  onSessionEnded = listener;
}

interface Sent {
  readonly input?: unknown;
  /** Sent as the body by itself, so that no JSON text holds it. */
  readonly secret?: string;
}

async function send<T>(path: string, method: "GET" | "POST", { input, secret }: Sent = {}): Promise<T> {
  const headers: Record<string, string> = method === "POST" ? { "strongroom-csrf": csrfToken } : {};
  let body: string | null = null;
  if (secret !== undefined) {
    headers["content-type"] = "application/octet-stream";
    headers["strongroom-input"] = base64(JSON.stringify(input ?? {}));
    body = secret;
  } else if (input !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(input);
  }
  let response: Response;
  try {
    response = await fetch(`/api/${path}`, { method, headers, body, cache: "no-store" });
  } catch {
    throw new ApiError("UNREACHABLE", "");
  }
  if (response.status === 204) return undefined as T;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer as T;
  const { code = "UNREACHABLE", message = "" } = answer.error ?? {};
  if (code === "SESSION_ENDED") onSessionEnded();
  throw new ApiError(code, message);
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

async function begin(session: Promise<Session>): Promise<Session> {
  const begun = await session;
  csrfToken = begun.csrfToken;
  return begun;
}

const get = <T>(path: string) => send<T>(path, "GET");
const post = <T>(path: string, input?: unknown) => send<T>(path, "POST", { input });

/** What the page asks of the server. Each rejects with {@link ApiError}. */
export const api = {
  session: () => begin(get<Session>("session")),
  signInWithCode: (code: string) => begin(send<Session>("sign-in/code", "POST", { secret: code })),
  signInWithCertificate: () => begin(send<Session>("sign-in/certificate", "POST")),
  signOut: () => send<void>("sign-out", "POST"),

  keys: async () => (await get<Answer<"keys.list">>("keys/list")).keys as readonly KeyDescription[],
  setKeyState: (key: string, state: "enable" | "disable") => post<KeyDescription>(`keys/${state}`, { key }),
  policy: async (key: string) => (await post<{ policy: string }>("policies/get", { key })).policy,
  grants: async (key: string) => (await post<{ grants: readonly Grant[] }>("grants/list", { key })).grants,
  revokeGrant: (key: string, grantId: string) => post<void>("grants/revoke", { key, grantId }),

  nodes: () => get<NodesInView>("nodes/view"),
  revokeNode: (name: string) => post<PrincipalDescription>("nodes/revoke", { name }),
  principals: async () => (await get<{ principals: readonly PrincipalDescription[] }>("principals/list")).principals,
  setPrincipalState: (name: string, state: "enable" | "disable") =>
    post<PrincipalDescription>(`principals/${state}`, { name }),

  enclaves: () => get<EnclavesInView>("enclaves/view"),

  devices: async () => (await get<Answer<"devices.list">>("devices/list")).devices as readonly Device[],

  searchAudit: (query: Input<"audit.search">) => post<Answer<"audit.search">>("audit/search", query),
  verifyChain: () => post<Answer<"audit.verify">>("audit/verify", {}),

  integrations: () => get<Integrations>("integrations/list"),
  /** Without a master key: the one that the document's five fields name. */
  createIntegration: (
    input: Omit<Integration, "createdAt" | "masterKey"> & { readonly masterKey?: string },
    apiSecret: string,
  ) => send<Integration>("integrations/create", "POST", { input, secret: apiSecret }),
  deleteIntegration: (name: string) => post<void>("integrations/delete", { name }),
};
