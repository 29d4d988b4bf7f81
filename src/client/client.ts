import type { Context } from "../crypto/context.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { list, member, type NewAccessKey, newAccessKey, type WrappedKey, wrappedKey } from "./answers.ts";
import { ClientError } from "./errors.ts";
import { Exchange, type ExchangeOptions, parseJson } from "./exchange.ts";
import { allKeys } from "./key-pages.ts";
import { headers, type OperationName } from "./operations.ts";
import type {
  AccessKeyDescription,
  Answer,
  AuditRecord,
  AuditVerdict,
  Checkpoint,
  DeviceState,
  EnclaveReport,
  Grant,
  GroupDescription,
  Input,
  IntegrationDescription,
  IssuedCertificates,
  KeyDescription,
  LeaseStatement,
  LegacyEntry,
  NodeCounter,
  PrincipalDescription,
  protocol,
  ReportedEnclave,
  Rotation,
  RotationStatus,
  UserDescription,
} from "./protocol.ts";
import { type ClientIdentity, type Endpoint, type RawAnswer, socketEndpoint, tlsEndpoints } from "./transport.ts";

export interface ServerList {
  /** `https://HOST:PORT`, in order of preference. */
  readonly servers: readonly string[];
  /** PEM of the certificate that the servers chain to. */
  readonly caPem: string;
  readonly identity: ClientIdentity;
}

type Operation = keyof typeof protocol;

/**
 * The native door's client: one method for each operation of the key manager, under the same names.
 *
 * Every method throws `ClientError` (codes in ./errors.ts). Reads and unwrap go on to the next server when one does
 * not answer; nothing that changes state is sent twice. Connections are kept; `close` ends them.
 */
export class KeyManagerClient implements Disposable {
  readonly #exchange: Exchange;

  private constructor(endpoints: readonly Endpoint[], options: ExchangeOptions) {
    this.#exchange = new Exchange(endpoints, options);
  }

  /** Over HTTPS with a client certificate; the private key is lent for this call. */
  static overTls({ servers, caPem, identity, ...options }: ServerList & ExchangeOptions): KeyManagerClient {
    return new KeyManagerClient(tlsEndpoints(servers, caPem, identity), options);
  }

  /** Over the administration socket in a key manager's data folder. */
  static overSocket(socketPath: string, options: ExchangeOptions = {}): KeyManagerClient {
    return new KeyManagerClient([socketEndpoint(socketPath)], options);
  }

  close(): void {
    this.#exchange.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  whoami(): Promise<Answer<"whoami">> {
    return this.#ask("whoami");
  }

  /** A new certificate for the principal of this connection's. `csr`: PKCS#10 in DER (see ./certificate-request.ts). */
  renew(input: { csr: Uint8Array }): Promise<IssuedCertificates> {
    return this.#ask("renew", { csr: base64(input.csr) });
  }

  /** A fresh data key, wrapped; `unwrap` gives its plaintext. `bytes`: 1 to 1024, by default 32. */
  async generateDataKey(input: { key: string; context: Context; bytes?: number }): Promise<WrappedKey> {
    return wrappedKey(await this.#ask("generateDataKey", input));
  }

  /** `plaintext` is lent for the call. */
  async wrap(input: { key: string; context: Context; plaintext: SecretBuffer }): Promise<WrappedKey> {
    const { plaintext, ...rest } = input;
    return wrappedKey(await this.#askWithSecret("wrap", rest, plaintext));
  }

  /** The caller disposes of `plaintext`. */
  async unwrap(input: {
    wrapped: Uint8Array;
    context: Context;
    key?: string;
    lease?: LeaseStatement;
  }): Promise<{ readonly keyId: string; readonly keyVersion: number; readonly plaintext: SecretBuffer }> {
    const { secret, answer } = await this.#askForSecret("unwrap", { ...input, wrapped: base64(input.wrapped) });
    const keyId = member(answer, "keyId", secret);
    const keyVersion = Number(member(answer, "keyVersion", secret));
    return { keyId, keyVersion, plaintext: secret };
  }

  /** For a node's launcher: it has stopped the node of this launch. */
  releaseLease(launch: string): Promise<void> {
    return this.#order("releaseLease", { launch });
  }

  /**
   * For a node: takes its own counter from `previous` (null: there is none yet) to a higher `next`, for good before it
   * answers. One that stands at `next` already is left there, so this is asked again when an answer is lost.
   *
   * @throws {ClientError} `CONFLICT` with the server's code `COUNTER_CONFLICT`: it stands elsewhere, and nothing changed.
   */
  advanceCounter(input: Input<"counters.advance">): Promise<Answer<"counters.advance">> {
    return this.#ask("counters.advance", input);
  }

  /** For a node: its own counter of this name; null when there is none. */
  async readCounter(name: string): Promise<Answer<"counters.read">["counter"]> {
    return (await this.#ask("counters.read", { name })).counter;
  }

  /** For a node: tells where an enclave at its host stands, in the place of what it told before. */
  reportEnclave(report: EnclaveReport): Promise<void> {
    return this.#order("enclaves.report", report);
  }

  /** To another key, another context, or (neither given) to the newest version of its own key. */
  async rewrap(input: {
    wrapped: Uint8Array;
    context: Context;
    toKey?: string;
    toContext?: Context;
  }): Promise<WrappedKey> {
    return wrappedKey(await this.#ask("rewrap", { ...input, wrapped: base64(input.wrapped) }));
  }

  readonly keys = {
    create: (input: Input<"keys.create">): Promise<KeyDescription> => this.#ask("keys.create", input),
    describe: (key: string): Promise<KeyDescription> => this.#ask("keys.describe", { key }),
    /** All of them, the oldest first, asked for in pages: a key that is made meanwhile may be missing. */
    list: (): Promise<readonly KeyDescription[]> => allKeys((input) => this.keys.page(input)),
    /** The keys behind `after` in the order of their ids, destroyed ones too; `limit`: 1 to 1000. */
    page: (input: Input<"keys.page">): Promise<Answer<"keys.page">> => this.#ask("keys.page", input),
    enable: (key: string): Promise<KeyDescription> => this.#ask("keys.enable", { key }),
    disable: (key: string): Promise<KeyDescription> => this.#ask("keys.disable", { key }),
    rotate: (key: string): Promise<KeyDescription> => this.#ask("keys.rotate", { key }),
    /** 7 to 30 days. */
    scheduleDeletion: (key: string, pendingDays: number): Promise<KeyDescription> =>
      this.#ask("keys.scheduleDeletion", { key, pendingDays }),
    cancelDeletion: (key: string): Promise<KeyDescription> => this.#ask("keys.cancelDeletion", { key }),
    destroy: (key: string): Promise<KeyDescription> => this.#ask("keys.destroy", { key }),
    updateDescription: (key: string, description: string): Promise<KeyDescription> =>
      this.#ask("keys.updateDescription", { key, description }),
  };

  readonly tags = {
    add: (key: string, tags: Readonly<Record<string, string>>): Promise<void> => this.#order("tags.add", { key, tags }),
    /** Names that are not there are passed over. */
    remove: (key: string, names: readonly string[]): Promise<void> => this.#order("tags.remove", { key, names }),
    list: async (key: string): Promise<Readonly<Record<string, string>>> =>
      (await this.#ask("tags.list", { key })).tags,
  };

  /** Automatic rotation of a key's material. */
  readonly rotation = {
    /** 90 to 2560 days, by default 365; the next version is made one period from now. */
    enable: (key: string, periodDays?: number): Promise<RotationStatus> =>
      this.#ask("rotation.enable", { key, ...(periodDays === undefined ? {} : { periodDays }) }),
    disable: (key: string): Promise<RotationStatus> => this.#ask("rotation.disable", { key }),
    status: (key: string): Promise<RotationStatus> => this.#ask("rotation.status", { key }),
    list: async (key: string): Promise<readonly Rotation[]> =>
      list((await this.#ask("rotation.list", { key })).rotations),
  };

  readonly aliases = {
    create: (alias: string, key: string): Promise<void> => this.#order("aliases.create", { alias, key }),
    update: (alias: string, key: string): Promise<void> => this.#order("aliases.update", { alias, key }),
    delete: (alias: string): Promise<void> => this.#order("aliases.delete", { alias }),
    list: async (): Promise<Answer<"aliases.list">["aliases"]> => list((await this.#ask("aliases.list")).aliases),
  };

  readonly policies = {
    get: async (key: string): Promise<string> => (await this.#ask("policies.get", { key })).policy,
    put: (key: string, policy: string, options: { bypassLockoutCheck?: boolean } = {}): Promise<void> =>
      this.#order("policies.put", { key, policy, ...options }),
  };

  readonly grants = {
    create: (key: string, input: Omit<Input<"grants.create">, "key">): Promise<Grant> =>
      this.#ask("grants.create", { key, ...input }),
    list: async (key: string): Promise<readonly Grant[]> => list((await this.#ask("grants.list", { key })).grants),
    revoke: (key: string, grantId: string): Promise<void> => this.#order("grants.revoke", { key, grantId }),
    /** By right of the grant itself: its retiring principal, or its grantee when it holds `RetireGrant`. */
    retire: (grantId: string, key?: string): Promise<void> =>
      this.#order("grants.retire", { grantId, ...(key === undefined ? {} : { key }) }),
  };

  readonly principals = {
    create: (input: Input<"principals.create">): Promise<PrincipalDescription> => this.#ask("principals.create", input),
    list: async (): Promise<readonly PrincipalDescription[]> => list((await this.#ask("principals.list")).principals),
    disable: (name: string): Promise<PrincipalDescription> => this.#ask("principals.disable", { name }),
    enable: (name: string): Promise<PrincipalDescription> => this.#ask("principals.enable", { name }),
  };

  readonly users = {
    create: (input: Input<"users.create">): Promise<UserDescription> => this.#ask("users.create", input),
    list: async (): Promise<readonly UserDescription[]> => list((await this.#ask("users.list")).users),
    describe: (name: string): Promise<UserDescription> => this.#ask("users.describe", { name }),
    setGroups: (name: string, groups: readonly string[]): Promise<UserDescription> =>
      this.#ask("users.setGroups", { name, groups }),
    /** With its access keys and grants. */
    delete: (name: string): Promise<void> => this.#order("users.delete", { name }),
  };

  readonly accessKeys = {
    create: async (user: string): Promise<NewAccessKey> =>
      newAccessKey(await this.#askForSecret("accessKeys.create", { user })),
    /** A new secret under the same id; the old one ends. */
    rotate: async (id: string): Promise<NewAccessKey> =>
      newAccessKey(await this.#askForSecret("accessKeys.rotate", { id })),
    setState: (id: string, state: AccessKeyDescription["state"]): Promise<AccessKeyDescription> =>
      this.#ask("accessKeys.setState", { id, state }),
    delete: (id: string): Promise<void> => this.#order("accessKeys.delete", { id }),
  };

  readonly groups = {
    create: (input: Input<"groups.create">): Promise<GroupDescription> => this.#ask("groups.create", input),
    list: async (): Promise<readonly GroupDescription[]> => list((await this.#ask("groups.list")).groups),
    setPolicies: (name: string, policies: readonly string[]): Promise<GroupDescription> =>
      this.#ask("groups.setPolicies", { name, policies }),
    delete: (name: string): Promise<void> => this.#order("groups.delete", { name }),
  };

  readonly nodes = {
    /** `token` is the text to give to the node's operator; the caller disposes of it. */
    createToken: async (
      input: Input<"nodes.createToken">,
    ): Promise<{ readonly token: SecretBuffer; readonly expiresAt: string }> => {
      const { secret, answer } = await this.#askForSecret("nodes.createToken", input);
      return { token: secret, expiresAt: member(answer, "expiresAt", secret) };
    },
    revoke: (name: string): Promise<PrincipalDescription> => this.#ask("nodes.revoke", { name }),
    /** For the node itself: puts what is destroyed with it on record, and revokes it. */
    destroyed: (input: Input<"nodes.destroyed">): Promise<PrincipalDescription> => this.#ask("nodes.destroyed", input),
    list: async (): Promise<readonly PrincipalDescription[]> => list((await this.#ask("nodes.list")).nodes),
    /** What holds each node to the key manager's word. */
    leases: (): Promise<Answer<"nodes.leases">> => this.#ask("nodes.leases"),
  };

  /** Counters of nodes, for whoever governs them. */
  readonly counters = {
    /** Of one node, or of all. */
    list: async (node?: string): Promise<readonly NodeCounter[]> =>
      list((await this.#ask("counters.list", node === undefined ? {} : { node })).counters),
    /** Removes it: the node begins it anew at any value. */
    reset: (node: string, name: string): Promise<void> => this.#order("counters.reset", { node, name }),
  };

  /** Enclaves, as their hosts tell of them. */
  readonly enclaves = {
    /** Of one node, or of all. */
    list: async (node?: string): Promise<readonly ReportedEnclave[]> =>
      list((await this.#ask("enclaves.list", node === undefined ? {} : { node })).enclaves),
    /** Removes what a node said of an enclave. */
    forget: (node: string, enclave: string): Promise<void> => this.#order("enclaves.forget", { node, enclave }),
  };

  readonly console = {
    /** A one-time code for signing in to the console, in ASCII; without a name for the folder's own administrator. */
    createCode: async (
      principal?: string,
    ): Promise<{ readonly code: SecretBuffer; readonly principal: string; readonly expiresAt: string }> => {
      const input = principal === undefined ? {} : { principal };
      const { secret, answer } = await this.#askForSecret("console.createCode", input);
      const arn = member(answer, "principal", secret);
      return { code: secret, principal: arn, expiresAt: member(answer, "expiresAt", secret) };
    },
  };

  /** Upstream key management services that master keys of origin `aws-kms` live in. */
  readonly integrations = {
    /** `apiSecret` is lent for the call. */
    create: ({
      apiSecret,
      ...input
    }: Input<"integrations.create"> & { apiSecret: SecretBuffer }): Promise<IntegrationDescription> =>
      this.#askWithSecret("integrations.create", input, apiSecret),
    list: async (): Promise<readonly IntegrationDescription[]> =>
      list((await this.#ask("integrations.list")).integrations),
    describe: (name: string): Promise<IntegrationDescription> => this.#ask("integrations.describe", { name }),
    delete: (name: string): Promise<void> => this.#order("integrations.delete", { name }),
  };

  /** The cards and tokens of the key manager's devices.toml. */
  readonly devices = {
    list: async (): Promise<readonly DeviceState[]> => list((await this.#ask("devices.list")).devices),
    /** `sha256` of the file, hex. */
    trust: async (sha256: string): Promise<readonly string[]> =>
      list((await this.#ask("devices.trust", { sha256 })).devices),
  };

  readonly legacy = {
    /** `superKey` is lent for the call. */
    register: ({ superKey, ...input }: Input<"legacy.register"> & { superKey: SecretBuffer }): Promise<LegacyEntry> =>
      this.#askWithSecret("legacy.register", input, superKey),
    list: async (): Promise<readonly LegacyEntry[]> => list((await this.#ask("legacy.list")).entries),
  };

  readonly audit = {
    read: async (input: { after: number; limit: number }): Promise<readonly AuditRecord[]> =>
      list((await this.#ask("audit.read", input)).records),
    search: (query: Input<"audit.search">): Promise<Answer<"audit.search">> => this.#ask("audit.search", query),
    /** Records as they are stored, for another machine to keep. */
    export: async (input: { after: number; limit: number }): Promise<Answer<"audit.export">["records"]> =>
      list((await this.#ask("audit.export", input)).records),
    reportPosition: (node: string): Promise<Answer<"audit.reportPosition">> =>
      this.#ask("audit.reportPosition", { node }),
    completeReport: (node: string, sequence: number): Promise<void> =>
      this.#order("audit.completeReport", { node, sequence }),
    checkpoint: (): Promise<Checkpoint> => this.#ask("audit.checkpoint"),
    verify: (checkpoint?: Checkpoint): Promise<AuditVerdict> =>
      this.#ask("audit.verify", checkpoint === undefined ? {} : { checkpoint }),
  };

  /** The server validates its answers against the same contract; here only their outer shape is checked. */
  async #ask<N extends Operation>(name: N, input?: Input<N>): Promise<Answer<N>> {
    const body = input === undefined ? undefined : Buffer.from(JSON.stringify(input));
    return parseJson(await this.#exchange.ask(name, body)) as Answer<N>;
  }

  async #order<N extends Operation>(name: N, input: Input<N>): Promise<void> {
    await this.#exchange.ask(name, Buffer.from(JSON.stringify(input)));
  }

  async #askWithSecret<N extends Operation>(name: N, input: Input<N>, secret: SecretBuffer): Promise<Answer<N>> {
    const header = { [headers.input]: base64(Buffer.from(JSON.stringify(input))) };
    return parseJson(await secret.expose((bytes) => this.#exchange.ask(name, bytes, header))) as Answer<N>;
  }

  async #askForSecret<N extends Operation & OperationName>(
    name: N,
    input: Input<N>,
  ): Promise<{ secret: SecretBuffer; answer: RawAnswer }> {
    const answer = await this.#exchange.ask(name, Buffer.from(JSON.stringify(input)));
    const secret = SecretBuffer.take(answer.body);
    if (answer.headers["content-type"] === "application/octet-stream" && secret.byteLength > 0)
      return { secret, answer };
    secret[Symbol.dispose]();
    throw new ClientError("BAD_ANSWER", "the answer is not raw bytes", { status: answer.status });
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
