import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Server, ServerCredentials, type UntypedHandleCall } from "@grpc/grpc-js";
import { peer } from "@hyperledger/fabric-protos";
import { reservePort } from "../reserved-ports.ts";
import { ChaincodeStream, type ChatStream } from "./chaincode-stream.ts";
import type { TestOrganisation } from "./organisation.ts";

const steps = join(import.meta.dirname, "../../bin/external-builder/bin");

/** What a package has: its metadata and its code's files. */
export interface ChaincodePackage {
  readonly metadata: object;
  readonly source: Readonly<Record<string, object>>;
}

/**
 * What a peer does with an external builder: has it detect, build and release a package, and run the chaincode, which then
 * connects to the peer (protos.ChaincodeSupport) under TLS and shows the certificate that it was given. As Fabric's peers do, it passes
 * on of its environment what the builder's `propagateEnvironment` names.
 */
export class BuilderPeer implements AsyncDisposable {
  readonly address: string;
  readonly #folder: string;
  readonly #organisation: TestOrganisation;
  readonly #server: Server;
  readonly #environment: Readonly<Record<string, string>>;
  #registration = Promise.withResolvers<ChaincodeStream>();
  #child: ChildProcess | undefined;
  #log = "";

  private constructor(
    address: string,
    folder: string,
    organisation: TestOrganisation,
    server: Server,
    environment: Readonly<Record<string, string>>,
  ) {
    this.address = address;
    this.#folder = folder;
    this.#organisation = organisation;
    this.#server = server;
    this.#environment = environment;
  }

  /** @param folder - Where the peer keeps what builders make; the caller's to remove. */
  static async start(
    folder: string,
    organisation: TestOrganisation,
    chaincode: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<BuilderPeer> {
    // By name: TLS of Node takes no address for a server's name.
    const port = await reservePort();
    const server = new Server();
    const made = new BuilderPeer(`localhost:${port}`, folder, organisation, server, environment);
    server.addService(peer.ChaincodeSupportService, { register: made.#register(chaincode) as UntypedHandleCall });
    const { certificate, key } = await organisation.issueTls("localhost");
    const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
    const credentials = ServerCredentials.createSsl(Buffer.from(organisation.root), [pair], true);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, credentials, (error) => (error === null ? resolve() : reject(error))),
    );
    return made;
  }

  /** Detects, builds and releases a package. @returns Where the build's output is */
  build({ metadata, source }: ChaincodePackage): string {
    mkdirSync(this.#folder, { recursive: true });
    const at = mkdtempSync(join(this.#folder, "build-"));
    for (const name of ["source", "metadata", "output", "release"]) mkdirSync(join(at, name));
    writeFileSync(join(at, "metadata/metadata.json"), JSON.stringify(metadata));
    for (const [name, content] of Object.entries(source))
      writeFileSync(join(at, "source", name), JSON.stringify(content));
    for (const [step, ...folders] of [
      ["detect", "source", "metadata"],
      ["build", "source", "metadata", "output"],
      ["release", "output", "release"],
    ] as const) {
      const { status, stderr } = spawnSync(
        join(steps, step),
        folders.map((name) => join(at, name)),
        { env: { PATH: "/usr/bin:/bin" }, encoding: "utf8", timeout: 60_000 },
      );
      if (status !== 0) throw new Error(`${step} ended with ${status}: ${stderr}`);
    }
    return join(at, "output");
  }

  /** Has the chaincode run, and waits until it has registered. @throws Error it ended before */
  async run(output: string, packageId: string): Promise<ChaincodeStream> {
    const metadata = mkdtempSync(join(this.#folder, "run-"));
    const { certificate, key } = await this.#organisation.issueTls("chaincode");
    const told = {
      chaincode_id: packageId,
      peer_address: this.address,
      client_cert: certificate,
      client_key: key,
      root_cert: this.#organisation.root,
      mspid: this.#organisation.mspId,
    };
    writeFileSync(join(metadata, "chaincode.json"), JSON.stringify(told), { mode: 0o600 });
    this.#registration = Promise.withResolvers<ChaincodeStream>();
    this.#log = "";
    const child = spawn(join(steps, "run"), [output, metadata], {
      env: { PATH: "/usr/bin:/bin", ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        this.#log = (this.#log + data).slice(-20_000);
      });
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`run ended with ${code}:\n${this.#log}`);
    });
    try {
      return await Promise.race([this.#registration.promise, ended]);
    } finally {
      ended.catch(() => undefined);
      rmSync(metadata, { recursive: true });
    }
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** What it has written to its output, the newest 20,000 characters. */
  get log(): string {
    return this.#log;
  }

  /** @returns The exit code; null where it was killed. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, "exit");
    child.kill(signal);
    const [code] = await ended;
    return code;
  }

  /** Leaves the chaincode, as a peer that ends. */
  leave(): void {
    this.#server.forceShutdown();
  }

  /** @returns When the chaincode has ended of itself. */
  async ended(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const [code] = await once(child, "exit");
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
    this.#server.forceShutdown();
  }

  #register(chaincode: string) {
    return (stream: ChatStream & { end(): void }): void => {
      const { resolve, reject } = this.#registration;
      ChaincodeStream.accept(stream, chaincode, () => undefined).then(resolve, reject);
    };
  }
}
