import { resolve } from "node:path";
import { type Enrolment, enroll } from "../../client/enroll.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../../node/errors.ts";
import {
  defaultIdentityFolder,
  identityMeanings,
  refuseDisk,
  refuseStrangersFolder,
  writeIdentity,
} from "../../node/identity.ts";
import type { IdentityKind } from "../../node/manifest.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { updateManifest, withTableFields } from "../../node/manifest-writer.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { promptSecret, readSecretFile, readUnlockSecret } from "../unlock-secret.ts";

interface EnrollOptions extends OutputOptions {
  readonly tokenFile?: string;
  readonly tokenFd?: number;
  readonly identity?: IdentityKind;
  readonly into?: string;
  readonly server?: readonly string[];
}

/** Enrols the node of a manifest, or with `--into` any principal: an administrator, an auditor, a service. */
export async function runEnroll(node: string, options: EnrollOptions): Promise<void> {
  const { kind, folder, name, principal, notAfter } = await enrolNode(node, options);
  printData(options, { name, principal, notAfter, identity: kind, folder }, () =>
    [`${name} is enrolled as ${principal}`, `certificate valid until ${notAfter}`].join("\n"),
  );
}

/** Enrols, and writes the identity; what it means against a stolen disk is told. */
export async function enrolNode(
  node: string,
  options: EnrollOptions,
): Promise<{ kind: IdentityKind; folder: string } & Pick<Enrolment, "name" | "principal" | "notAfter">> {
  const { kind, folder, servers, name } = options.into === undefined ? ofManifest(node, options) : apart(options);
  refuseDisk(kind, folder);
  refuseStrangersFolder(folder);
  using token = await readToken(options);
  const enrolment = await enroll({ servers, token, ...(name === undefined ? {} : { name }) });
  using _key = enrolment.privateKeyPem;
  writeIdentity(kind, folder, enrolment);
  tell(`${folder}: ${identityMeanings[kind]}`);
  return { kind, folder, name: enrolment.name, principal: enrolment.principal, notAfter: enrolment.notAfter };
}

interface Enrolling {
  readonly kind: IdentityKind;
  readonly folder: string;
  readonly servers: readonly string[];
  readonly name?: string;
}

function ofManifest(node: string, options: EnrollOptions): Enrolling {
  const loaded = withIdentityKind(loadManifest(node), options.identity);
  const { identity, keyManager, node: named } = loaded.manifest;
  return { kind: identity.kind, folder: loaded.at(identity.folder), servers: keyManager.servers, name: named.name };
}

function apart({ into = "", server, identity = "file" }: EnrollOptions): Enrolling {
  if (server === undefined) throw new NodeError("INPUT_INVALID", "--into needs --server: there is no manifest to ask");
  return { kind: identity, folder: resolve(into), servers: server };
}

function readToken(options: EnrollOptions): Promise<SecretBuffer> | SecretBuffer {
  if (options.tokenFd !== undefined) return readUnlockSecret({ unlockFd: String(options.tokenFd) });
  if (options.tokenFile !== undefined) return readSecretFile(options.tokenFile);
  return promptSecret("Enrolment token: ", "use --token-file FILE or --token-fd N");
}

function withIdentityKind(loaded: LoadedManifest, kind: IdentityKind | undefined): LoadedManifest {
  if (kind === undefined || kind === loaded.manifest.identity.kind) return loaded;
  const folder = defaultIdentityFolder(kind, loaded.manifest.node.name);
  return updateManifest(loaded, (text) => withTableFields(text, "identity", { kind, folder }));
}
