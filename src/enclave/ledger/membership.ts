import { type KeyObject, X509Certificate } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type SerializedIdentity, SerializedIdentitySchema } from "../messages/generated/fabric/peer_pb.ts";
import { readMessage } from "./fabric-message.ts";
import { type Authorities, type Standing, standingOf } from "./fabric-standing.ts";
import { readAsGo } from "./go-message.ts";
import { firstPemBlock } from "./go-pem.ts";
import { isKeyOfFabric } from "./go-signature.ts";
import { sha256 } from "./low-s.ts";

/** By the organizational unit of a certificate's subject (Fabric's NodeOUs). */
export const roles = ["admin", "client", "peer", "orderer"] as const;
export type Role = (typeof roles)[number];

/** An organisation of a channel, as its configuration has it. */
export interface Organisation {
  readonly mspId: string;
  /** PEM of each certificate that stands for itself. */
  readonly roots: readonly string[];
  /** PEM of authorities between those and the members. */
  readonly intermediates?: readonly string[];
}

/** Somebody whose certificate is by an organisation of the channel. */
export interface Identity {
  readonly mspId: string;
  readonly role: Role;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}

/** An identity, or what may be one. */
export interface JudgedIdentity extends Identity {
  /** Why it cannot be told whether Fabric's peers take it; undefined: they do. */
  readonly doubt: string | undefined;
}

/**
 * Whose certificates are taken: `strict`, for what is for ourselves; `fabric`, as Fabric's peers read them in transactions: with
 * anything around the PEM, of any length, for a key on any NIST curve.
 */
export type MembershipForm = "strict" | "fabric";

const maxIdentityBytes = 16_384;
const maxChain = 4;
const maxRemembered = 1_000;

/** Who is a member of a channel: judges certificates by the roots of its organisations, as Fabric's MSPs do. */
export class Membership {
  readonly #organisations: ReadonlyMap<string, Authorities>;
  readonly #form: MembershipForm;
  /** By SHA-256 of the serialized identity: the same few sign everything. */
  readonly #known = new Map<string, JudgedIdentity | undefined>();

  /** @throws Error: an organisation's certificate cannot be read */
  constructor(organisations: readonly Organisation[], form: MembershipForm = "strict") {
    this.#form = form;
    this.#organisations = new Map(organisations.map((one) => [one.mspId, authoritiesOf(one)]));
  }

  get mspIds(): readonly string[] {
    return [...this.#organisations.keys()];
  }

  /**
   * @param serialized - msp.SerializedIdentity
   * @param atMs - Refuses certificates that are not valid then. Left out, as where blocks are validated: a transaction stays
   *   valid when certificates expire later, and every peer has to come to the same result at any time (Fabric does so too).
   * @returns undefined where no organisation of the channel answers for it, or it has no role, or more than one
   */
  identify(serialized: Uint8Array, atMs?: number): Identity | undefined {
    const identity = this.judge(serialized);
    if (identity?.doubt !== undefined) return undefined;
    if (identity === undefined || atMs === undefined) return identity;
    const { validFromDate, validToDate } = identity.certificate;
    return validFromDate.getTime() <= atMs && atMs <= validToDate.getTime() ? identity : undefined;
  }

  /**
   * {@link identify}, with those who may be members: in the form `fabric`, an authority of their organisation has signed their certificate, and
   * the rest is in doubt.
   */
  judge(serialized: Uint8Array): JudgedIdentity | undefined {
    if (this.#form === "strict" && serialized.length > maxIdentityBytes) return undefined;
    const name = sha256(serialized).toString("base64");
    if (this.#known.has(name)) return this.#known.get(name);
    const identity = this.#read(serialized);
    if (this.#known.size >= maxRemembered) this.#known.clear();
    this.#known.set(name, identity);
    return identity;
  }

  #read(serialized: Uint8Array): JudgedIdentity | undefined {
    try {
      const isStrict = this.#form === "strict";
      const { mspid, idBytes } = (isStrict ? readMessage : readAsGo)(SerializedIdentitySchema, serialized);
      const authorities = this.#organisations.get(mspid);
      if (authorities === undefined) return undefined;
      const certificate = isStrict ? readCertificate(idBytes) : readCertificateAsGo(idBytes);
      if (certificate === undefined) return undefined;
      const key = certificate.publicKey;
      const isOfKind = isStrict ? key.asymmetricKeyDetails?.namedCurve === "prime256v1" : isKeyOfFabric(key);
      const [role, ...others] = rolesOf(certificate);
      if (!isOfKind || role === undefined || others.length > 0) return undefined;
      const standing = isStrict ? strictStandingOf(certificate, authorities) : standingOf(certificate, authorities);
      if (standing === "stranger") return undefined;
      const doubt = standing === "member" ? undefined : standing.doubt;
      return { mspId: mspid, role, key, certificate, doubt };
    } catch {
      return undefined;
    }
  }
}

/** msp.SerializedIdentity, as it stands in headers and endorsements. @param certificate - PEM */
export function serializeIdentity({ mspId, certificate }: { mspId: string; certificate: string }): Buffer {
  const message: SerializedIdentity = create(SerializedIdentitySchema, {
    mspid: mspId,
    idBytes: Buffer.from(certificate),
  });
  return Buffer.from(toBinary(SerializedIdentitySchema, message));
}

const onePem = /^-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)\r?\n-----END CERTIFICATE-----\s*$/;

/** Of one PEM, with nothing around it. OpenSSL takes DER as well, and passes over what it does not know. */
function readCertificate(idBytes: Uint8Array): X509Certificate | undefined {
  const [, base64 = ""] = onePem.exec(Buffer.from(idBytes).toString("latin1")) ?? [];
  if (base64 === "") return undefined;
  const certificate = new X509Certificate(idBytes);
  return certificate.raw.toString("base64") === base64.replaceAll(/[\r\n]/g, "") ? certificate : undefined;
}

function readCertificateAsGo(idBytes: Uint8Array): X509Certificate | undefined {
  const bytes = firstPemBlock(idBytes);
  if (bytes === undefined) return undefined;
  // As PEM again: of other bytes OpenSSL would take a PEM that is somewhere in them.
  const certificate = new X509Certificate(pemOf(bytes));
  return certificate.raw.equals(bytes) ? certificate : undefined;
}

function pemOf(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function authoritiesOf({ roots, intermediates = [] }: Organisation): Authorities {
  const read = (pems: readonly string[]) => {
    const certificates = pems.map((pem) => new X509Certificate(pem));
    return [...new Map(certificates.map((one) => [one.fingerprint256, one])).values()];
  };
  return { roots: read(roots), intermediates: read(intermediates) };
}

/** For ourselves: by OpenSSL's rules, key identifiers included. */
function strictStandingOf(certificate: X509Certificate, authorities: Authorities): Standing {
  return !certificate.ca && isIssuedUnder(certificate, authorities) ? "member" : "stranger";
}

function isIssuedUnder(certificate: X509Certificate, authorities: Authorities, depth = 1): boolean {
  if (depth > maxChain) return false;
  if (authorities.roots.some((root) => isIssuedBy(certificate, root))) return true;
  return authorities.intermediates.some(
    (one) => isIssuedBy(certificate, one) && isIssuedUnder(one, authorities, depth + 1),
  );
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function rolesOf(certificate: X509Certificate): readonly Role[] {
  // Node gives one as text and several as an array, whatever its types say.
  const units: unknown = (certificate.toLegacyObject().subject as unknown as Record<string, unknown>).OU;
  const list: readonly unknown[] = Array.isArray(units) ? units : [units];
  // The same one twice is two to Fabric's peers.
  return list.flatMap((unit) => roles.filter((role) => role === unit));
}
