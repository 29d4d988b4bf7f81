import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { EnclaveError } from "../../errors.ts";

/** The type of chaincode packages that hold no code, but say where the code runs (Fabric 2.4 and later). */
export const packageType = "ccaas";
export const connectionFile = "connection.json";
const maxFileBytes = 1 << 20;

const pem = z.string().regex(/^-----BEGIN [A-Z ]+-----\n/);

/** What a peer has to know to connect to a chaincode service; names and meanings are Fabric's. */
const connectionForm = z
  .strictObject({
    address: z.string().regex(/^(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):[1-9][0-9]{0,4}$/),
    dial_timeout: z
      .string()
      .regex(/^[1-9][0-9]{0,3}(s|ms)$/)
      .default("10s"),
    tls_required: z.boolean().default(false),
    client_auth_required: z.boolean().default(false),
    root_cert: pem.optional(),
    client_cert: pem.optional(),
    client_key: pem.optional(),
  })
  .superRefine((connection, context) => {
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    const { tls_required: hasTls, client_auth_required: hasClientAuth } = connection;
    if (!hasTls && !isLoopback(connection.address))
      refuse("tls_required is false, and the address is not on the peer's own machine");
    if (hasTls && connection.root_cert === undefined) refuse("tls_required without root_cert");
    if (hasClientAuth && (!hasTls || connection.client_cert === undefined || connection.client_key === undefined))
      refuse("client_auth_required without tls_required, client_cert or client_key");
  });

export type Connection = z.output<typeof connectionForm>;

/** The type of a package. @param metadataFolder - Where the peer has put its metadata.json. @returns Undefined where it has none */
export async function readPackageType(metadataFolder: string): Promise<string | undefined> {
  const metadata = await readJson(join(metadataFolder, "metadata.json"));
  if (typeof metadata !== "object" || metadata === null || !("type" in metadata)) return undefined;
  return typeof metadata.type === "string" ? metadata.type : undefined;
}

/** @throws EnclaveError MALFORMED: a field is missing, unknown or wrong; NOT_FOUND: there is no such file */
export function readConnection(folder: string): Promise<Connection> {
  return readForm(join(folder, connectionFile), connectionForm);
}

/** @throws EnclaveError as {@link readConnection} */
export async function readForm<Form extends z.ZodType>(path: string, form: Form): Promise<z.output<Form>> {
  const result = form.safeParse(await readJson(path));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.join(".") ?? "";
  throw new EnclaveError("MALFORMED", `${path}: ${where === "" ? "" : `${where}: `}${issue?.message}`);
}

async function readJson(path: string): Promise<unknown> {
  let text: Buffer;
  try {
    text = await readFile(path);
  } catch (cause) {
    throw new EnclaveError("NOT_FOUND", `${path} cannot be read`, { cause });
  }
  if (text.length > maxFileBytes) throw new EnclaveError("MALFORMED", `${path} is longer than ${maxFileBytes} bytes`);
  try {
    return JSON.parse(text.toString("utf8"));
  } catch (cause) {
    throw new EnclaveError("MALFORMED", `${path} is not JSON`, { cause });
  }
}

function isLoopback(address: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\]):/.test(address);
}
