import { accessEndpoints } from "./access.ts";
import { auditEndpoints } from "./audit.ts";
import { consoleEndpoints } from "./console.ts";
import { counterEndpoints } from "./counters.ts";
import { dataEndpoints } from "./data.ts";
import { deviceEndpoints } from "./devices.ts";
import { enclaveEndpoints } from "./enclaves.ts";
import type { Endpoint } from "./endpoint.ts";
import { identityEndpoints } from "./identity.ts";
import { integrationEndpoints } from "./integrations.ts";
import { keyEndpoints } from "./keys.ts";
import { legacyEndpoints } from "./legacy.ts";
import { nodeEndpoints } from "./nodes.ts";
import { userEndpoints } from "./users.ts";

/** Every operation of the native door. */
export const endpoints: readonly Endpoint[] = [
  ...identityEndpoints,
  ...dataEndpoints,
  ...keyEndpoints,
  ...accessEndpoints,
  ...userEndpoints,
  ...nodeEndpoints,
  ...counterEndpoints,
  ...enclaveEndpoints,
  ...consoleEndpoints,
  ...integrationEndpoints,
  ...deviceEndpoints,
  ...legacyEndpoints,
  ...auditEndpoints,
];

const byPath = new Map(endpoints.map((endpoint) => [endpoint.operation.path, endpoint]));

/** The endpoint of a request target, which must be the path exactly: no query, no trailing slash. */
export function endpointAt(path: string | undefined): Endpoint | undefined {
  return path === undefined ? undefined : byPath.get(path);
}
