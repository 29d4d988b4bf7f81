import { dirname, resolve } from "node:path";
import * as z from "zod";
import { readTextFile } from "../../files/text-file.ts";
import { EnclaveError } from "../errors.ts";
import type { TeeSettings } from "../tee/open-backend.ts";

/** Never what is in a file: an error names it. */
const file = z.string().regex(/^(?!-----BEGIN)[^\p{Cc}]{1,4096}$/u, "is no name of a file");
const organisation = z.string().regex(/^[A-Za-z0-9.-]{1,128}$/, "is no name of an organisation");
const endpoint = z.string().regex(/^(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):[1-9][0-9]{0,4}$/, "is not host:port");

/** Files are named relative to the folder that the settings are in. */
const form = z.strictObject({
  format: z.literal(1),
  channel: z.string(),
  /** SHA-256 of the channel's genesis block. */
  channelHash: z.string().regex(/^[0-9a-f]{64}$/, "is not 64 lower-case hex digits"),
  /** ERCC's name on the channel. */
  registry: z.string().min(1).default("ercc"),
  chaincode: z.string().min(1),
  gateway: z.strictObject({
    address: endpoint,
    tlsRoots: file.optional(),
    tlsServerName: z.string().min(1).optional(),
    tlsCertificate: file.optional(),
    tlsKey: file.optional(),
  }),
  identity: z.strictObject({ mspId: organisation, certificate: file, key: file }),
  host: z
    .discriminatedUnion("kind", [
      z.strictObject({
        kind: z.literal("folder"),
        folder: file,
        peerEndpoint: endpoint,
        tee: z.discriminatedUnion("kind", [
          z.strictObject({ kind: z.literal("process"), platform: file }),
          z.strictObject({ kind: z.literal("tpm"), platform: file, tcti: z.string().min(1) }),
          z.strictObject({ kind: z.literal("gramine"), folder: file.optional() }),
        ]),
        /** Without whose word enclaves that are created here do not open; `identity` is a folder. */
        keyManager: z
          .strictObject({ servers: z.array(z.string()).min(1), identity: file, masterKey: z.string().min(1) })
          .optional(),
      }),
      /** Beside the own peer, which started it: reached through the gateway. */
      z.strictObject({ kind: z.literal("chaincode"), peerEndpoint: endpoint }),
    ])
    .optional(),
  /** Whose peers have to say alike what a caller takes for the chaincode's key and enclaves; left out, the own peer is believed. */
  trustedLedger: z
    .strictObject({
      quorum: z.int().min(1),
      organisations: z.array(z.strictObject({ mspId: organisation, roots: z.array(file).min(1) })).min(1),
    })
    .optional(),
  organisationKeys: z.strictObject({ policy: file, recovery: file }).optional(),
});

/** One organisation's connection to a channel of Fabric, as its admin writes it down. Paths are absolute. */
export type ConnectionSettings = z.output<typeof form>;
export type FolderHost = Extract<NonNullable<ConnectionSettings["host"]>, { kind: "folder" }>;
type CallersLedger = NonNullable<ConnectionSettings["trustedLedger"]>;

const maxSettingsBytes = 1 << 16;
const maxPemBytes = 1 << 20;

const shown =
  "docs/fabric.md shows such a file of JSON (Commands); --connection names the one of your organisation on a channel of Fabric, --folder and --org a trial network";

/** @throws EnclaveError SETTINGS_INVALID: it cannot be read, or what is in it is missing, unknown or wrong */
export function readConnectionSettings(path: string): ConnectionSettings {
  const text = readText(path, maxSettingsBytes, shown);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    // Its words quote the text, which may be a key that was put there by mistake.
    const place = /line \d+ column \d+/.exec((cause as Error).message)?.[0];
    throw invalid(`${path} is not JSON${place === undefined ? "" : `: ${place}`}`, shown);
  }
  const result = form.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw invalid(`${path}: ${where === "" ? "" : `${where}: `}${issue?.message}`, shown);
  }
  return absolute(result.data, dirname(resolve(path)));
}

/** A certificate or several. @throws EnclaveError SETTINGS_INVALID */
export function readPem(path: string): string {
  const hint = "files are named from the folder that the connection settings are in, or by their whole path";
  const text = readText(path, maxPemBytes, hint);
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw invalid(`${path} holds no certificate in PEM`);
  return text;
}

function readText(path: string, limit: number, hint: string): string {
  try {
    return readTextFile(path, limit);
  } catch (cause) {
    throw invalid((cause as Error).message, hint, cause);
  }
}

function invalid(message: string, hint?: string, cause?: unknown): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", message, { hint, cause });
}

function absolute(settings: ConnectionSettings, folder: string): ConnectionSettings {
  const at = (path: string) => resolve(folder, path);
  const { gateway, identity, host, trustedLedger, organisationKeys } = settings;
  const { tlsRoots, tlsCertificate, tlsKey } = gateway;
  if ((tlsCertificate === undefined) !== (tlsKey === undefined))
    throw new EnclaveError("SETTINGS_INVALID", "gateway.tlsCertificate and gateway.tlsKey belong together");
  if (tlsRoots === undefined && tlsKey !== undefined)
    throw new EnclaveError("SETTINGS_INVALID", "gateway.tlsKey without gateway.tlsRoots: there is no TLS to use it in");
  return {
    ...settings,
    gateway: {
      ...gateway,
      ...(tlsRoots === undefined ? {} : { tlsRoots: at(tlsRoots) }),
      ...(tlsCertificate === undefined ? {} : { tlsCertificate: at(tlsCertificate) }),
      ...(tlsKey === undefined ? {} : { tlsKey: at(tlsKey) }),
    },
    identity: { ...identity, certificate: at(identity.certificate), key: at(identity.key) },
    ...(host?.kind === "folder" ? { host: absoluteHost(host, at) } : {}),
    ...(trustedLedger && { trustedLedger: absoluteRoots(trustedLedger, at) }),
    ...(organisationKeys === undefined
      ? {}
      : { organisationKeys: { policy: at(organisationKeys.policy), recovery: at(organisationKeys.recovery) } }),
  };
}

function absoluteRoots(settings: CallersLedger, at: (path: string) => string): CallersLedger {
  const organisations = settings.organisations.map((one) => ({ ...one, roots: one.roots.map(at) }));
  return { ...settings, organisations };
}

function absoluteHost(host: FolderHost, at: (path: string) => string): FolderHost {
  const { keyManager } = host;
  return {
    ...host,
    folder: at(host.folder),
    tee: absoluteTee(host.tee, at),
    ...(keyManager === undefined ? {} : { keyManager: { ...keyManager, identity: at(keyManager.identity) } }),
  };
}

function absoluteTee(tee: FolderHost["tee"], at: (path: string) => string): FolderHost["tee"] {
  if (tee.kind === "gramine") return tee.folder === undefined ? tee : { ...tee, folder: at(tee.folder) };
  return { ...tee, platform: at(tee.platform) };
}

/** As the stub takes them. */
export function teeSettings(tee: FolderHost["tee"]): TeeSettings {
  if (tee.kind !== "gramine") return tee;
  return { kind: "gramine", ...(tee.folder === undefined ? {} : { folder: tee.folder }) };
}
