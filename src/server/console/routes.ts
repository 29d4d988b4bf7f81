import { z } from "zod";
import type { OperationName } from "../../client/operations.ts";
import { protocol } from "../../client/protocol.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, CustodyService } from "../../custody/service.ts";
import type { Authority } from "../authority.ts";
import { InputError } from "../native/failures.ts";
import { endpoints } from "../native/table.ts";
import { enclavesInView } from "./enclaves-in-view.ts";
import { ConsoleError } from "./errors.ts";
import type { IntegrationStore } from "./integrations.ts";
import { nodesInView } from "./nodes-in-view.ts";

/** What the console's data comes from. */
export interface ConsoleServices {
  readonly custody: CustodyService;
  readonly authority: Authority;
  readonly integrations: IntegrationStore | undefined;
}

/** One request for data that a signed-in page may make. All of it is done as the session's principal. */
export interface ConsoleRoute {
  readonly name: string;
  readonly method: "GET" | "POST";
  readonly input: "none" | "json" | "secret";
  /** @throws {InputError} */
  validate(value: unknown): unknown;
  /** Resolves to the JSON value, or undefined (204). `secret` is lent. */
  run(services: ConsoleServices, caller: Caller, input: unknown, secret: SecretBuffer | undefined): Promise<unknown>;
}

/** Operations of the native door that the page uses, under the same names and with the same checks. */
const sharedOperations = [
  "keys.list",
  "keys.enable",
  "keys.disable",
  "policies.get",
  "grants.list",
  "grants.revoke",
  "nodes.revoke",
  "principals.list",
  "principals.disable",
  "principals.enable",
  "devices.list",
  "audit.search",
  "audit.verify",
] as const satisfies readonly OperationName[];

const integrationInput = z.strictObject({
  name: z.string().min(1).max(64),
  region: z.string().min(1).max(64),
  apiKey: z.string().min(1).max(128),
  masterKey: z.string().min(1).max(2048).exactOptional(),
});
const nameInput = z.strictObject({ name: z.string().min(1).max(64) });

/** By path, which must be exact: no query, no trailing slash. */
export const routes: ReadonlyMap<string, ConsoleRoute> = new Map([
  ...sharedOperations.map((name) => [protocolPath(name), shared(name)] as const),
  ...[
    own("nodes.view", "GET", "none", z.undefined(), ({ custody }, caller) => nodesInView(custody, caller)),
    own("enclaves.view", "GET", "none", z.undefined(), ({ custody }, caller) => enclavesInView(custody, caller)),
    own("integrations.list", "GET", "none", z.undefined(), async ({ integrations }, caller) => ({
      available: integrations !== undefined,
      integrations: (await integrations?.list(caller)) ?? [],
    })),
    own("integrations.create", "POST", "secret", integrationInput, async ({ integrations }, caller, input, secret) => {
      if (integrations === undefined) throw new ConsoleError("INTEGRATIONS_UNAVAILABLE");
      if (secret === undefined) throw new InputError("apiSecret", "the API secret is missing");
      return integrations.create(caller, { ...input, apiSecret: secret });
    }),
    own("integrations.delete", "POST", "json", nameInput, async ({ integrations }, caller, { name }) => {
      if (integrations === undefined) throw new ConsoleError("INTEGRATIONS_UNAVAILABLE");
      await integrations.delete(caller, name);
    }),
  ].map((route) => [protocolPath(route.name), route] as const),
]);

function protocolPath(name: string): string {
  return `/api/${name.replaceAll(".", "/")}`;
}

function shared(name: (typeof sharedOperations)[number]): ConsoleRoute {
  const endpoint = endpoints.find((each) => each.name === name);
  if (endpoint === undefined || name in protocol === false) throw new Error(`the native door has no operation ${name}`);
  const { method, input } = endpoint.operation;
  return {
    name,
    method,
    input,
    validate: (value) => endpoint.validate(value),
    run: ({ custody, authority }, caller, value, secret) =>
      endpoint.run(
        { custody, authority, caller, principal: undefined, certificateNotAfterMs: undefined },
        value,
        secret,
      ),
  };
}

function own<T>(
  name: string,
  method: ConsoleRoute["method"],
  input: ConsoleRoute["input"],
  schema: z.ZodType<T>,
  run: (services: ConsoleServices, caller: Caller, input: T, secret: SecretBuffer | undefined) => Promise<unknown>,
): ConsoleRoute {
  return {
    name,
    method,
    input,
    validate(value) {
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      const [issue] = parsed.error.issues;
      throw new InputError((issue?.path ?? []).map(String).join("."), issue?.message ?? "the request is malformed");
    },
    run: (services, caller, value, secret) => run(services, caller, value as T, secret),
  };
}
