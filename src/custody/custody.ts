import { randomInt } from "node:crypto";
import { AwsKmsDevice } from "../devices/aws-kms/device.ts";
import { DeviceShelf, type OpenDevice } from "../devices/catalogue/shelf.ts";
import type { CryptoDevice } from "../devices/device.ts";
import type { DeviceKeyNote } from "../devices/device-secret.ts";
import type { RootKey } from "../devices/root-key.ts";
import { AccessKeySecrets } from "./access-key-secrets.ts";
import { principalArn } from "./arn.ts";
import { CheckpointSigner } from "./audit/checkpoint.ts";
import { NoticeKeeper } from "./audit/notice-keeper.ts";
import type { NoticeKind } from "./audit/notice-rules.ts";
import { Authorizer } from "./authorizer.ts";
import type { Core } from "./core.ts";
import { Devices } from "./devices.ts";
import { CustodyError } from "./errors.ts";
import { ImportTokens } from "./import-tokens.ts";
import { IntegrationClients } from "./integration-clients.ts";
import type { Journal } from "./journal.ts";
import { KeyDirectory } from "./key-directory.ts";
import type { Opener } from "./opening/opener.ts";
import { Aliases } from "./operations/aliases.ts";
import { Asymmetric } from "./operations/asymmetric.ts";
import { Audit } from "./operations/audit.ts";
import { Counters } from "./operations/counters.ts";
import { Data } from "./operations/data.ts";
import { CustodyDevices, trustedDevicesName } from "./operations/devices.ts";
import { Enclaves } from "./operations/enclaves.ts";
import { Grants } from "./operations/grants.ts";
import { Groups } from "./operations/groups.ts";
import { Imports } from "./operations/imports.ts";
import { Integrations } from "./operations/integrations.ts";
import { Keys } from "./operations/keys.ts";
import { Leases } from "./operations/leases.ts";
import { Legacy } from "./operations/legacy.ts";
import { Macs } from "./operations/macs.ts";
import { Nodes } from "./operations/nodes.ts";
import { Policies } from "./operations/policies.ts";
import { describePrincipal, endOf, Principals } from "./operations/principals.ts";
import { ReEncryption } from "./operations/reencryption.ts";
import { KeyRotation } from "./operations/rotation.ts";
import { Secrets } from "./operations/secrets.ts";
import { Signing } from "./operations/signing.ts";
import { KeyTags } from "./operations/tags.ts";
import { Users } from "./operations/users.ts";
import { Refusals } from "./refusals.ts";
import { RefusedForms } from "./refused-forms.ts";
import type { AuditRecord, Caller, CustodyIdentity, CustodyService, Door, PrincipalDescription } from "./service.ts";
import type { Authenticator } from "./state/authenticator.ts";
import { change, type PrincipalRecord } from "./state/records.ts";
import type { Store } from "./store/store.ts";

const identityName = "identity";
const checkpointKeyName = "checkpoint-key";
const localAdministratorName = "local-administrator";
const fiscoDoorName = "fisco-door";
const probeEveryMs = 1000;

/** Everything below the doors, put together over one store, one root key and one device. */
export class Custody implements CustodyService {
  readonly identity: CustodyIdentity;
  readonly keys: Keys;
  readonly data: Data;
  readonly signing: Signing;
  readonly macs: Macs;
  readonly asymmetric: Asymmetric;
  readonly reencryption: ReEncryption;
  readonly tags: KeyTags;
  readonly rotation: KeyRotation;
  readonly imports: Imports;
  readonly aliases: Aliases;
  readonly policies: Policies;
  readonly grants: Grants;
  readonly principals: Principals;
  readonly users: Users;
  readonly groups: Groups;
  readonly nodes: Nodes;
  readonly leases: Leases;
  readonly counters: Counters;
  readonly enclaves: Enclaves;
  readonly legacy: Legacy;
  readonly integrations: Integrations;
  readonly devices: CustodyDevices;
  readonly audit: Audit;
  readonly secrets: Secrets;
  readonly #core: Core;
  readonly #store: Store;
  readonly #refusals: Refusals;
  readonly #refusedForms: RefusedForms;
  /** Records are never changed in place, so a record's description stays true. */
  readonly #described = new WeakMap<PrincipalRecord, PrincipalDescription>();
  readonly #endsOfKeys = new WeakMap<PrincipalRecord["publicKeys"][number], number>();
  /** A connection asks with the same digest each time. */
  readonly #hexOfDigests = new WeakMap<Buffer, string>();
  readonly #principalsByPublicKey = new Map<string, string>();
  readonly #accessKeySecrets: AccessKeySecrets;
  readonly #importTokens: ImportTokens;
  readonly #integrationClients: IntegrationClients;
  readonly #release: () => void;
  #notices: NoticeKeeper | undefined;
  readonly #probe: NodeJS.Timeout;

  private constructor(parts: CustodyParts, identity: CustodyIdentity, secrets: Secrets, signer: CheckpointSigner) {
    const { journal, store, root, device, opener, authenticator } = parts;
    const { state } = journal;
    this.identity = identity;
    const directory = new KeyDirectory(state, identity, () => journal.nowMs());
    const authorizer = new Authorizer(state, identity, (keyId) => directory.aliasesOf(keyId));
    this.#refusals = new Refusals(journal);
    this.#refusedForms = new RefusedForms(journal, this.#refusals);
    const countRefusal = this.countRefusal.bind(this);
    this.#integrationClients = new IntegrationClients(state, root);
    const upstream = new AwsKmsDevice(this.#integrationClients);
    const shelf =
      parts.namedDevices &&
      new DeviceShelf(
        parts.namedDevices.file,
        () => state.get("public", trustedDevicesName)?.value,
        parts.namedDevices.open,
      );
    const devices = new Devices({ soft: device, external: device, "aws-kms": upstream }, shelf);
    const slotNotes = parts.slotNotes ?? (() => []);
    this.#core = { identity, journal, state, devices, opener, slotNotes, directory, authorizer, countRefusal };
    this.#store = store;
    this.#release = parts.release;
    this.secrets = secrets;
    this.keys = new Keys(this.#core);
    this.data = new Data(this.#core);
    this.signing = new Signing(this.#core);
    this.macs = new Macs(this.#core);
    this.asymmetric = new Asymmetric(this.#core);
    this.reencryption = new ReEncryption(this.#core);
    this.tags = new KeyTags(this.#core);
    this.rotation = new KeyRotation(this.#core);
    this.#importTokens = new ImportTokens(root);
    this.imports = new Imports(this.#core, this.#importTokens);
    this.aliases = new Aliases(this.#core);
    this.policies = new Policies(this.#core);
    this.grants = new Grants(this.#core);
    this.principals = new Principals(this.#core);
    this.#accessKeySecrets = new AccessKeySecrets(state, root);
    this.users = new Users(this.#core, this.#accessKeySecrets, this.#refusals);
    this.groups = new Groups(this.#core);
    this.nodes = new Nodes(this.#core);
    this.leases = new Leases(this.#core, store);
    this.counters = new Counters(this.#core);
    this.enclaves = new Enclaves(this.#core);
    this.integrations = new Integrations(this.#core, root);
    this.devices = new CustodyDevices(this.#core, shelf);
    this.legacy = new Legacy(this.#core, root.derive("legacyTag"));
    this.audit = new Audit(this.#core, store, authenticator, signer);
    this.#indexPublicKeys();
    this.#probe = setInterval(() => {
      if (journal.trouble !== undefined) void journal.probe();
    }, probeEveryMs).unref();
  }

  /** SubjectPublicKeyInfo of the key that signs checkpoints, base64. */
  get checkpointPublicKey(): string {
    return this.audit.publicKey;
  }

  /** Puts custody together over a store that {@link initialise} has filled. */
  static async assemble(parts: CustodyParts): Promise<Custody> {
    const secrets = new Secrets({ journal: parts.journal, state: parts.journal.state }, parts.root);
    const stored = await secrets.readPublic(identityName);
    using signingKey = await secrets.read(checkpointKeyName);
    if (stored === undefined || signingKey === undefined)
      throw new CustodyError(
        "STORE_UNUSABLE",
        "the store was never initialised, or its initialisation was interrupted",
      );
    const identity = JSON.parse(stored.toString()) as CustodyIdentity;
    return new Custody(parts, identity, secrets, new CheckpointSigner(signingKey));
  }

  /** Begins to put notices on record of what stands out in the chain. The journal must have begun. */
  watchChain(onNotice?: (kind: NoticeKind) => void): void {
    this.#notices ??= new NoticeKeeper(this.#core.journal, this.#store, onNotice);
  }

  async principalOfPublicKey(
    spkiSha256: Buffer,
    attempt: Omit<Caller, "principal">,
  ): Promise<PrincipalDescription | undefined> {
    const hex = this.#hexOfDigests.getOrInsertComputed(spkiSha256, (digest) => digest.toString("hex"));
    const name = this.#principalsByPublicKey.get(hex);
    const record = name === undefined ? undefined : this.#core.state.get("principal", name);
    const key = record?.publicKeys.find((each) => each.spkiSha256 === hex);
    if (record === undefined || key === undefined) return undefined;
    const endedBy = endOf(record, key);
    if (endedBy !== undefined) {
      const caller = { ...attempt, principal: principalArn(this.identity, record.kind, record.name) };
      await this.#refusals.ofRevoked(caller, { spkiSha256: hex, deniedBy: endedBy });
      return undefined;
    }
    const endsMs = this.#endsOfKeys.getOrInsertComputed(key, ({ notAfter }) => Date.parse(notAfter));
    if (this.#core.journal.nowMs() >= endsMs) return undefined;
    return this.#described.getOrInsertComputed(record, () => describePrincipal(this.#core, record));
  }

  acknowledge(caller: Caller, action: string, detail: AuditRecord["detail"] = {}): Promise<void> {
    return this.#core.journal.perform(caller, { action, detail }, () => ({ value: undefined }));
  }

  isEnabled(principal: string, spkiSha256?: string): boolean {
    const record = this.#core.state.get("principal", principal.slice(principal.lastIndexOf("/") + 1));
    if (record?.state !== "enabled" || principalArn(this.identity, record.kind, record.name) !== principal)
      return false;
    if (spkiSha256 === undefined) return true;
    const key = record.publicKeys.find((each) => each.spkiSha256 === spkiSha256);
    return (
      key !== undefined && endOf(record, key) === undefined && this.#core.journal.nowMs() < Date.parse(key.notAfter)
    );
  }

  follow(listener: (records: readonly AuditRecord[]) => void): () => void {
    return this.#core.journal.follow(listener);
  }

  recordRefused(caller: Caller, action: string, code: string): Promise<void> {
    return this.#refusedForms.record(caller, action, code);
  }

  countRefusal(door: Door, peer: string, reason: string): void {
    this.#refusals.count(door, peer, reason);
  }

  readiness(): { readonly ready: boolean; readonly reason?: string } {
    const { trouble } = this.#core.journal;
    return trouble === undefined ? { ready: true } : { ready: false, reason: trouble };
  }

  async close(): Promise<void> {
    clearInterval(this.#probe);
    await this.#refusals.flush();
    await this.#notices?.close();
    await this.#core.journal.close();
    await this.#core.devices.lock();
    this.#integrationClients[Symbol.dispose]();
    await this.#core.opener.close();
    await this.#store.close();
    this.#accessKeySecrets[Symbol.dispose]();
    this.#importTokens[Symbol.dispose]();
    this.#release();
  }

  #indexPublicKeys(): void {
    const { state } = this.#core;
    const index = (record: PrincipalRecord) => {
      for (const { spkiSha256 } of record.publicKeys) this.#principalsByPublicKey.set(spkiSha256, record.name);
    };
    for (const [, record] of state.all("principal")) index(record);
    state.onChange((each) => {
      if (each.kind === "principal" && each.record !== null) index(each.record as PrincipalRecord);
    });
  }
}

/** What custody is put together from; it closes and releases them. */
export interface CustodyParts {
  readonly store: Store;
  readonly journal: Journal;
  readonly authenticator: Authenticator;
  readonly root: RootKey;
  /** Of the keys whose material is in the store. */
  readonly device: CryptoDevice;
  /** The device keys that key slots are wrapped by. */
  readonly slotNotes?: () => readonly DeviceKeyNote[];
  /** The cards and tokens that a `devices.toml` names. */
  readonly namedDevices?: { readonly file: string; readonly open: OpenDevice };
  readonly opener: Opener;
  /** Called last at close: drops the folder's lock and wipes the root key. */
  readonly release: () => void;
}

/** Fills a new store: the account's number, the checkpoint key, the data folder's own administrator, the FISCO door's service. */
export async function initialise(parts: CustodyParts, region: string): Promise<CustodyIdentity> {
  const account = String(randomInt(10 ** 11, 10 ** 12));
  const identity: CustodyIdentity = {
    account,
    region,
    localAdministrator: principalArn({ account }, "user", localAdministratorName),
  };
  const secrets = new Secrets({ journal: parts.journal, state: parts.journal.state }, parts.root);
  using signingKey = CheckpointSigner.newPrivateKey();
  const createdAt = new Date(parts.journal.nowMs()).toISOString();
  const standing = { state: "enabled", identity: null, publicKeys: [], groups: [], createdAt } as const;
  const principals: readonly PrincipalRecord[] = [
    { name: localAdministratorName, kind: "user", role: "administrator", ...standing },
    { name: fiscoDoorName, kind: "service", role: "fisco-door", ...standing },
  ];
  const changes = [
    change("public", identityName, { value: Buffer.from(JSON.stringify(identity)).toString("base64") }),
    secrets.sealed(checkpointKeyName, signingKey),
    ...principals.map((each) => change("principal", each.name, each)),
  ];
  const caller = { principal: identity.localAdministrator, door: "local", peer: "local", requestId: "init" } as const;
  const subject = { action: "strongroom:Init", detail: { account, region, suite: parts.root.suiteName } };
  await parts.journal.perform(caller, subject, () => ({ value: undefined, changes }));
  return identity;
}
